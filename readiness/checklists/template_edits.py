"""Templates with one thing changed: a section or an item added, replaced, moved or removed; pure.

Whatever names a section or an item that is not there raises KeyError.
"""

import re
import unicodedata
from collections.abc import Container, Sequence
from dataclasses import replace
from typing import TypeVar

from readiness.checklists.template_values import Hours, Item, Section, Template, Text

Part = TypeVar("Part", Section, Item)
_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_SECTION_KEY_LENGTH = 30
_ITEM_KEY_LENGTH = 44


def make_section_key(title: str, taken: Container[str]) -> str:
    """A key for a section of this title that is not taken yet."""
    return _find_free(_slug(title, "section", _SECTION_KEY_LENGTH), taken)


def make_item_key(section: str, title: str, taken: Container[str]) -> str:
    """A key for an item of this title; it begins with that of its section unless that has a dot of its own."""
    slug = _slug(title, "item", _ITEM_KEY_LENGTH)
    return _find_free(slug if "." in section else f"{section[:_SECTION_KEY_LENGTH]}.{slug}", taken)


def add_section(template: Template, title: Text, why: Text) -> Template:
    key = make_section_key(title.en, {section.key for section in template.sections})
    section = Section(key, title, why, without=(), estimate_hours=Hours(0, 0), resources=(), tables=())
    return replace(template, sections=(*template.sections, section))


def change_section(template: Template, key: str, title: Text, why: Text) -> Template:
    section = template.section(key)
    return replace(template, sections=_put(template.sections, section, replace(section, title=title, why=why)))


def remove_section(template: Template, key: str) -> Template:
    """Without the section and all of its items."""
    template.section(key)
    for item in template.items:
        if item.section == key:
            template = remove_item(template, item.key)
    return replace(template, sections=tuple(one for one in template.sections if one.key != key))


def move_section(template: Template, key: str, steps: int) -> Template:
    """One place up (-1) or down (1); at the edge it stays."""
    return replace(template, sections=_swap(template.sections, template.sections, template.section(key), steps))


def add_item(template: Template, item: Item) -> Template:
    return replace(template, items=(*template.items, item))


def change_item(template: Template, item: Item) -> Template:
    """With ``item`` in the place of the one that has its key."""
    return replace(template, items=_put(template.items, template.item(item.key), item))


def remove_item(template: Template, key: str) -> Template:
    """Without the item; steps of the plan that named it stay."""
    template.item(key)
    return replace(
        template,
        items=tuple(item for item in template.items if item.key != key),
        plan=tuple(replace(step, items=tuple(one for one in step.items if one != key)) for step in template.plan),
    )


def move_item(template: Template, key: str, steps: int) -> Template:
    """One place up (-1) or down (1) among the items of its section; at the edge it stays."""
    moved = template.item(key)
    siblings = [item for item in template.items if item.section == moved.section]
    return replace(template, items=_swap(template.items, siblings, moved, steps))


def _put(parts: tuple[Part, ...], old: Part, new: Part) -> tuple[Part, ...]:
    return tuple(new if part is old else part for part in parts)


def _swap(parts: tuple[Part, ...], siblings: Sequence[Part], moved: Part, steps: int) -> tuple[Part, ...]:
    place = siblings.index(moved)
    if not 0 <= place + steps < len(siblings):
        return parts
    one, other = siblings[place], siblings[place + steps]
    return tuple(other if part is one else one if part is other else part for part in parts)


def _slug(title: str, otherwise: str, length: int) -> str:
    plain = unicodedata.normalize("NFKD", title.lower().translate(_GERMAN)).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    if slug and not slug[0].isalpha():
        slug = f"{otherwise}_{slug}"
    return slug[:length].strip("_") or otherwise


def _find_free(key: str, taken: Container[str]) -> str:
    number, free = 1, key
    while free in taken:
        number += 1
        free = f"{key}_{number}"
    return free
