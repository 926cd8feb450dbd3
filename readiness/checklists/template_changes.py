"""What differs between two templates, item by item; pure."""

from dataclasses import dataclass

from readiness.checklists.template_values import Item, Template

# What an item says and what it demands: when one of these differs, an earlier claim was about something else.
_DEMAND = ("title", "why", "how", "kind", "rule", "rule_text", "severity", "evidence", "approvals")
_REST = ("section", "valid_days", "per_release", "applies_to", "estimate_minutes")


@dataclass(frozen=True)
class ItemChange:
    """One item before and after; ``fields`` names what differs."""

    old: Item
    new: Item
    fields: tuple[str, ...]

    @property
    def is_other_demand(self) -> bool:
        """Whether what was claimed about the old item says nothing about the new one."""
        return any(field in _DEMAND for field in self.fields)


@dataclass(frozen=True)
class TemplateChanges:
    added: tuple[Item, ...]
    removed: tuple[Item, ...]
    changed: tuple[ItemChange, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    @property
    def other_demands(self) -> tuple[str, ...]:
        """Keys of the items that have to be claimed anew."""
        return tuple(change.new.key for change in self.changed if change.is_other_demand)


def compare_templates(old: Template, new: Template) -> TemplateChanges:
    """What becomes of the items of ``old`` in ``new``; items are the same when their keys are."""
    before, after = {item.key: item for item in old.items}, {item.key: item for item in new.items}
    changes = (
        (before[key], item, _find_differences(before[key], item)) for key, item in after.items() if key in before
    )
    return TemplateChanges(
        added=tuple(item for key, item in after.items() if key not in before),
        removed=tuple(item for key, item in before.items() if key not in after),
        changed=tuple(ItemChange(one, other, fields) for one, other, fields in changes if fields),
    )


def _find_differences(old: Item, new: Item) -> tuple[str, ...]:
    return tuple(field for field in (*_DEMAND, *_REST) if getattr(old, field) != getattr(new, field))
