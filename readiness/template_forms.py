"""What people type about checklist templates, and the sections and items that it makes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.urls import reverse_lazy
from django.utils.text import slugify

from readiness.checklists.template import TemplateError, load_template, parse_draft
from readiness.checklists.template_check import list_known_rules
from readiness.checklists.template_edits import make_item_key
from readiness.checklists.template_reader import TITLE_LENGTH
from readiness.checklists.template_store import CONTENT_LENGTH
from readiness.checklists.template_tasks import TaskListError, read_task_list
from readiness.checklists.template_values import (
    MOST_APPROVALS,
    EvidenceKind,
    Item,
    Kind,
    Section,
    Severity,
    Template,
    Text,
)
from readiness.checklists.toml_rows import LARGEST_NUMBER, TEXT_LENGTH
from readiness.models import Environment

PASTE_LENGTH = 200_000
_NOTHING = Text("", "")


def _title(label: str, *, is_german: bool = False) -> forms.CharField:
    help_text = "Reads as in English when left empty." if is_german else ""
    return forms.CharField(label=label, max_length=TITLE_LENGTH, required=not is_german, help_text=help_text)


def _markdown(name: str, label: str) -> forms.CharField:
    """A text in Markdown; what it looks like is fetched while one types, into the place beside it."""
    attributes = {
        "rows": 6,
        "hx-post": reverse_lazy("preview_markdown"),
        "hx-trigger": "input changed delay:400ms",
        "hx-target": f"#preview-{name}",
        "hx-params": name,
    }
    return forms.CharField(label=label, required=False, max_length=TEXT_LENGTH, widget=forms.Textarea(attrs=attributes))


def _join(cleaned: dict[str, Any], name: str) -> Text:
    """The text of both languages; one that is empty reads as the other."""
    english, german = (str(cleaned.get(f"{name}_{language}") or "") for language in ("en", "de"))
    return Text(english or german, german or english)


def _split(**texts: Text) -> dict[str, str]:
    """What the fields of these texts show: German only where it differs."""
    initial: dict[str, str] = {}
    for name, text in texts.items():
        initial |= {f"{name}_en": text.en, f"{name}_de": text.de if text.de != text.en else ""}
    return initial


class DraftForm(forms.Form):
    """A form that changes a draft: it says which revision whoever sends it has seen."""

    revision = forms.IntegerField(widget=forms.HiddenInput)


class AboutForm(DraftForm):
    title_en = _title("Name")
    title_de = _title("Name in German", is_german=True)
    intro_en = _markdown("intro_en", "Introduction")
    intro_de = _markdown("intro_de", "Introduction in German")

    def __init__(self, *args: Any, template: Template, revision: int, **kwargs: Any) -> None:
        initial = {"revision": revision, **_split(title=template.title, intro=template.intro)}
        super().__init__(*args, **{**kwargs, "initial": initial})

    def change(self, template: Template) -> Template:
        return replace(template, title=_join(self.cleaned_data, "title"), intro=_join(self.cleaned_data, "intro"))


class SectionForm(DraftForm):
    title_en = _title("Title")
    title_de = _title("Title in German", is_german=True)
    why_en = _markdown("why_en", "Why it matters")
    why_de = _markdown("why_de", "Why it matters, in German")

    def __init__(self, *args: Any, section: Section | None, revision: int, **kwargs: Any) -> None:
        initial: dict[str, Any] = {"revision": revision}
        if section is not None:
            initial |= _split(title=section.title, why=section.why)
        super().__init__(*args, **{**kwargs, "initial": initial})

    @property
    def title(self) -> Text:
        return _join(self.cleaned_data, "title")

    @property
    def why(self) -> Text:
        return _join(self.cleaned_data, "why")


class ItemForm(DraftForm):
    """Everything about one item."""

    title_en = _title("Title")
    title_de = _title("Title in German", is_german=True)
    section = forms.ChoiceField()
    severity = forms.ChoiceField(
        choices=[(one.value, one.value) for one in Severity],
        help_text="Open must items forbid going live; open should items are a condition.",
    )
    kind = forms.ChoiceField(
        choices=[(Kind.MANUAL.value, "manual"), (Kind.HYBRID.value, "hybrid"), (Kind.AUTOMATIC.value, "automatic")],
        help_text="Verified by a person, by a fact and a person, or by facts alone.",
    )
    rule = forms.ChoiceField(required=False, help_text="Which facts verify it, unless it is manual.")
    evidence = forms.MultipleChoiceField(
        required=False,
        label="Evidence wanted",
        choices=[
            (EvidenceKind.URL.value, "a URL"),
            (EvidenceKind.FILE.value, "a file"),
            (EvidenceKind.NOTE.value, "a note"),
            (EvidenceKind.PROBE.value, "a probe’s result"),
        ],
        help_text="One of these has to be given.",
        widget=forms.CheckboxSelectMultiple,
    )
    applies_to = forms.MultipleChoiceField(
        required=False,
        label="Only for",
        choices=Environment.Kind.choices,
        help_text="Every kind of environment when none is chosen.",
        widget=forms.CheckboxSelectMultiple,
    )
    approvals = forms.TypedChoiceField(
        coerce=int,
        choices=[(number, str(number)) for number in range(MOST_APPROVALS + 1)],
        help_text="How many people beside the one who submits have to agree.",
    )
    valid_days = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=LARGEST_NUMBER,
        label="Valid for (days)",
        help_text="Then it turns stale. For good when left empty.",
    )
    per_release = forms.BooleanField(required=False, label="Turns stale with every deploy")
    estimate_minutes = forms.IntegerField(
        required=False, min_value=1, max_value=LARGEST_NUMBER, label="Estimate (minutes)"
    )
    rule_text_en = forms.CharField(
        required=False, max_length=TEXT_LENGTH, label="What verifies it", help_text="One sentence."
    )
    rule_text_de = forms.CharField(required=False, max_length=TEXT_LENGTH, label="What verifies it, in German")
    why_en = _markdown("why_en", "Why")
    why_de = _markdown("why_de", "Why, in German")
    how_en = _markdown("how_en", "How")
    how_de = _markdown("how_de", "How, in German")

    WORDS = ("title_en", "title_de", "rule_text_en", "rule_text_de")
    DEMANDS = ("section", "severity", "kind", "rule", "approvals", "valid_days", "estimate_minutes", "per_release")
    CHOICES = ("evidence", "applies_to")
    TEXTS = ("why_en", "why_de", "how_en", "how_de")

    def __init__(
        self, *args: Any, template: Template, item: Item | None, revision: int, section: str = "", **kwargs: Any
    ) -> None:
        initial: dict[str, Any] = {"revision": revision, "section": section, "approvals": 1}
        if item is not None:
            initial |= _split(title=item.title, rule_text=item.rule_text, why=item.why, how=item.how)
            initial |= {name: getattr(item, name) for name in self.DEMANDS}
            initial |= {name: list(getattr(item, name)) for name in self.CHOICES}
            initial |= {name: initial[name] or None for name in ("valid_days", "estimate_minutes")}
        super().__init__(*args, **{**kwargs, "initial": initial})
        self.item = item
        self._choose("section", [(one.key, one.title.en) for one in template.sections])
        rules = [(rule, f"{rule} ({item.title.en})" if item else rule) for rule, item in list_known_rules().items()]
        self._choose("rule", [("", "none"), *rules])

    def group(self, names: tuple[str, ...]) -> list[forms.BoundField]:
        return [self[name] for name in names]

    def words(self) -> list[forms.BoundField]:
        return self.group(self.WORDS)

    def demands(self) -> list[forms.BoundField]:
        return self.group(self.DEMANDS)

    def choices(self) -> list[forms.BoundField]:
        return self.group(self.CHOICES)

    def texts(self) -> list[forms.BoundField]:
        return self.group(self.TEXTS)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        is_manual = cleaned.get("kind") == Kind.MANUAL
        if cleaned.get("rule") and is_manual:
            self.add_error("rule", "A manual item has no rule: choose none, or another kind.")
        if not cleaned.get("rule") and cleaned.get("kind") and not is_manual and "rule" not in self.errors:
            self.add_error("rule", "Choose the facts that verify it, or make it manual.")
        return cleaned

    def make_item(self, template: Template) -> Item:
        """The item that was typed; a new one gets a key that ``template`` does not have yet."""
        cleaned = self.cleaned_data
        title = _join(cleaned, "title")
        taken = {one.key for one in template.items}
        return Item(
            key=self.item.key if self.item is not None else make_item_key(cleaned["section"], title.en, taken),
            section=cleaned["section"],
            kind=Kind(cleaned["kind"]),
            severity=Severity(cleaned["severity"]),
            rule=cleaned["rule"],
            rule_text=_join(cleaned, "rule_text"),
            title=title,
            why=_join(cleaned, "why"),
            how=_join(cleaned, "how"),
            estimate_minutes=cleaned["estimate_minutes"] or 0,
            plan_step="",
            evidence=tuple(EvidenceKind(name) for name in cleaned["evidence"]),
            approvals=cleaned["approvals"],
            valid_days=cleaned["valid_days"] or 0,
            applies_to=tuple(cleaned["applies_to"]),
            per_release=cleaned["per_release"],
        )

    def _choose(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  narrows the type
        field.choices = choices


class TextForm(DraftForm):
    """A whole draft as TOML."""

    text = forms.CharField(
        label="Template as TOML",
        max_length=CONTENT_LENGTH,
        widget=forms.Textarea(attrs={"rows": 34, "class": "mono", "spellcheck": "false", "wrap": "off"}),
    )

    def __init__(self, *args: Any, key: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._key = key

    def clean_text(self) -> str:
        text = str(self.cleaned_data["text"])
        try:
            self.template = parse_draft(text, self._key)
        except TemplateError as error:
            raise forms.ValidationError(str(error)) from None
        return text


class StartForm(forms.Form):
    """What a new template starts with."""

    EMPTY, SHIPPED, MARKDOWN, TOML = "empty", "shipped", "markdown", "toml"

    name = forms.CharField(max_length=TITLE_LENGTH, required=False, help_text="TOML brings its own.")
    key = forms.CharField(
        max_length=60,
        required=False,
        validators=[RegexValidator(r"^[a-z0-9]+(-[a-z0-9]+)*$", "Use lower-case letters, digits and single dashes.")],
        help_text="Its name in addresses and on the command line; made from the name when left empty.",
    )
    source = forms.ChoiceField(
        label="Start from",
        choices=[
            (EMPTY, "an empty checklist"),
            (SHIPPED, "a copy of the shipped go-live checklist"),
            (MARKDOWN, "a Markdown document with a task list, pasted below"),
            (TOML, "TOML, pasted below"),
        ],
    )
    text = forms.CharField(
        required=False,
        max_length=CONTENT_LENGTH,
        help_text="Of a Markdown document: every “- [ ] Name” becomes an item, headings become sections, "
        "what is written below a task its how, or its why after the word “Why:”.",
        widget=forms.Textarea(attrs={"rows": 14, "class": "mono", "spellcheck": "false"}),
    )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        source, text, name = cleaned.get("source"), cleaned.get("text") or "", cleaned.get("name") or ""
        if self.errors:
            return cleaned
        if source in {self.MARKDOWN, self.TOML} and not text:
            self.add_error("text", "Paste the text that the checklist is made of.")
        elif source in {self.EMPTY, self.MARKDOWN} and not name:
            self.add_error("name", "Give the checklist a name.")
        elif source == self.MARKDOWN and len(text) > PASTE_LENGTH:
            self.add_error("text", f"Paste at most {PASTE_LENGTH:,} characters.")
        else:
            try:
                self.template = self._make(str(source), text, name, cleaned.get("key") or slugify(name)[:60].strip("-"))
            except TaskListError as error:
                self.add_error("text", str(error))
            except TemplateError as error:
                self.add_error("text", str(error))
        return cleaned

    def _make(self, source: str, text: str, name: str, key: str) -> Template:
        """The first content of the new template, under its key. Raises TaskListError or TemplateError."""
        if source == self.TOML:
            found = parse_draft(text)
            found = replace(found, key=key or found.key)
        elif source == self.MARKDOWN:
            found = read_task_list(text, key, name)
        elif source == self.SHIPPED:
            found = replace(load_template(), key=key or f"own-{load_template().key}")
        else:
            found = Template(key, 1, Text(name, name), _NOTHING, (), (), (), (), ())
        if not found.key:
            raise TemplateError("Give a key: the name holds no letter that could make one.")
        return replace(found, title=Text(name, name)) if name else found


class SwitchForm(forms.Form):
    """Which published version an environment shall follow, or the shipped checklist."""

    SHIPPED = "shipped"

    version = forms.ChoiceField(label="Checklist")

    def __init__(self, *args: Any, choices: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["version"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101  narrows the type
        field.choices = [(self.SHIPPED, f"The shipped checklist: {load_template().title.en}"), *choices]
