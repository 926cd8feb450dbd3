"""The frozen values that a checklist template consists of; reads and writes nothing."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Kind(StrEnum):
    """Who can fulfil an item: a machine, a machine and a person, or a person."""

    AUTOMATIC = "automatic"
    HYBRID = "hybrid"
    MANUAL = "manual"


class EvidenceKind(StrEnum):
    """What can be shown for an item; `probe` is a result that facts bring, of automatic and hybrid items."""

    URL = "url"
    FILE = "file"
    NOTE = "note"
    PROBE = "probe"


class Severity(StrEnum):
    """How much an open item weighs in the verdict."""

    MUST = "must"
    SHOULD = "should"
    OPTIONAL = "optional"


class Condition(StrEnum):
    """What an alert rule listens for."""

    FIRST_SEEN = "first_seen"  # needs levels
    ERROR_RATE = "error_rate"  # needs threshold and interval_seconds
    MESSAGE_CONTAINS = "message_contains"  # needs value
    TAGGED = "tagged"  # needs value


@dataclass(frozen=True)
class Text:
    """One text in both languages of the portal."""

    en: str
    de: str

    def for_language(self, code: str) -> str:
        """German for `de` and its regions (`de-at`, `de_CH`), English for everything else."""
        return self.de if code.lower().replace("_", "-").split("-")[0] == "de" else self.en


@dataclass(frozen=True)
class Hours:
    low: float
    high: float


@dataclass(frozen=True)
class Resource:
    title: str
    url: str


@dataclass(frozen=True)
class Table:
    """A small table of a section; every row has as many cells as there are columns."""

    title: Text
    columns: tuple[Text, ...]
    rows: tuple[tuple[Text, ...], ...]


@dataclass(frozen=True)
class Section:
    """`why` is Markdown; `without` lists what happens when the section is skipped."""

    key: str
    title: Text
    why: Text
    without: tuple[Text, ...]
    estimate_hours: Hours
    resources: tuple[Resource, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Item:
    """`why` and `how` are Markdown; `rule` names the verification and is empty for a manual item.

    `plan_step` is the key of the plan step that links the item, empty when none does. `evidence` lists the kinds of
    evidence of which one must be given with a submission; none is wanted when it is empty. `approvals` (0 to 2) is how
    many people beside the submitter must agree. Verified by people, the item goes stale after `valid_days`, 0 means
    never; with `per_release` it goes stale at each deploy. `applies_to` lists kinds of environment, none means all.
    """

    key: str
    section: str
    kind: Kind
    severity: Severity
    rule: str
    rule_text: Text
    title: Text
    why: Text
    how: Text
    estimate_minutes: int
    plan_step: str
    evidence: tuple[EvidenceKind, ...] = ()
    approvals: int = 0
    valid_days: int = 0
    applies_to: tuple[str, ...] = ()
    per_release: bool = False


@dataclass(frozen=True)
class PlanStep:
    """One step of the plan; `half` is "morning" or "afternoon", `items` are item keys."""

    key: str
    day: int
    half: str
    title: Text
    hours: Hours
    items: tuple[str, ...]


@dataclass(frozen=True)
class CostLine:
    """One price per `period` ("month" or "year"); `alternative_of` is the key of the line that it replaces."""

    key: str
    service: Text
    plan: str
    amount: Decimal
    currency: str
    period: str
    severity: Severity
    alternative_of: str
    note: Text

    @property
    def monthly(self) -> Decimal:
        """The price of one month."""
        return self.amount / 12 if self.period == "year" else self.amount


@dataclass(frozen=True)
class AlertRule:
    """One alert that the error tracker must have; the fields beside `condition` are those that it needs."""

    key: str
    title: Text
    condition: Condition
    levels: tuple[str, ...]
    value: str
    threshold: int
    interval_seconds: int
    how: Text


@dataclass(frozen=True)
class Template:
    key: str
    version: int
    title: Text
    intro: Text
    sections: tuple[Section, ...]
    items: tuple[Item, ...]
    plan: tuple[PlanStep, ...]
    costs: tuple[CostLine, ...]
    alert_rules: tuple[AlertRule, ...]

    def item(self, key: str) -> Item:
        """The item with this key; KeyError when there is none."""
        for item in self.items:
            if item.key == key:
                return item
        raise KeyError(key)

    def items_for(self, environment_kind: str) -> tuple[Item, ...]:
        """The items that apply to this kind of environment, in the template's order."""
        return tuple(item for item in self.items if not item.applies_to or environment_kind in item.applies_to)

    def items_by_section(self) -> tuple[tuple[Section, tuple[Item, ...]], ...]:
        """Every section with its items, both in the template's order."""
        return tuple((s, tuple(i for i in self.items if i.section == s.key)) for s in self.sections)
