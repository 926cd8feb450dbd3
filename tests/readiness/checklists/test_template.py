"""Reads the shipped checklist template and broken copies of a small one; writes nothing."""

import re
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass
from decimal import Decimal

import pytest

from readiness.checklists.costs import CostTotals, add_up_costs
from readiness.checklists.template import (
    EvidenceKind,
    Hours,
    Template,
    TemplateError,
    Text,
    load_template,
    parse_draft,
    parse_template,
)
from readiness.checklists.template_values import ENVIRONMENT_KINDS
from readiness.models import Environment

A, H, M = "automatic", "hybrid", "manual"

# The reference table: key, kind, severity, German title of the source (None for the items that it does not list).
EXPECTED_ITEMS = [
    ("postgresql.database_created", A, "must", "Database erstellt"),
    ("postgresql.database_url", H, "must", "DATABASE_URL aktualisiert"),
    ("postgresql.schema_provider", A, "must", "Prisma Schema auf postgresql umgestellt"),
    ("postgresql.migration_done", H, "must", "Migration durchgeführt"),
    ("postgresql.data_imported", H, "should", "Test-Daten importiert"),
    ("postgresql.pooling", A, "must", "Connection Pooling konfiguriert"),
    ("postgresql.backup_job", A, "must", "Backup-Job eingerichtet"),
    ("https.backend_deployed", A, "must", "Backend deployed"),
    ("https.frontend_deployed", A, "must", "Frontend deployed"),
    ("https.certificates", A, "must", "SSL-Zertifikate aktiv"),
    ("https.redirect", A, "must", "HTTPS Redirect konfiguriert"),
    ("https.security_headers", A, "must", "Helmet Security Headers aktiviert"),
    ("https.api_url", A, "must", "API_URL auf HTTPS umgestellt"),
    ("https.cookies", A, "must", "Cookies auf secure gesetzt"),
    ("errors.account", A, "must", "Sentry Account erstellt"),
    ("errors.backend_sdk", A, "must", "Backend Integration"),
    ("errors.frontend_sdk", A, "must", "Frontend Integration"),
    ("errors.dsn", A, "must", "DSN in .env gesetzt"),
    ("errors.error_handlers", H, "must", "Error Handlers implementiert"),
    ("errors.email_alerts", A, "must", "Email-Alerts konfiguriert"),
    ("errors.test_error", A, "must", "Test-Error gesendet & empfangen"),
    ("errors.session_replay", A, "must", "Session Replay aktiviert"),
    ("testing.login", A, "must", "Login über HTTPS"),
    ("testing.create", A, "must", "Actions/Projekte erstellen"),
    ("testing.upload", A, "must", "File Upload"),
    ("testing.notification", A, "must", "Notifications"),
    ("testing.chatbot", A, "must", "Chatbot"),
    ("testing.mobile", A, "must", "Mobile Responsive OK"),
    ("local_run", M, "should", None),
    ("backup_strategy", M, "should", None),
    ("env_vars", A, "should", None),
    ("health_check", A, "should", None),
    ("custom_domain", A, "optional", None),
    ("alert_received", A, "should", None),
    ("documentation", M, "should", None),
    ("restore_proven", A, "should", None),
    ("pitr_window", A, "should", None),
    ("scrubbing", A, "should", None),
    ("pwa", A, "optional", None),
]

# Hours of the source's plan, day by day.
EXPECTED_DAYS = {1: ("postgresql", 4, 6), 2: ("https", 6, 8), 3: ("errors", 3, 4)}

SMALL = """
[template]
key = "small"
version = 3
title = { en = "Small", de = "Klein" }
intro = { en = "An introduction", de = "Eine Einleitung" }

[[section]]
key = "first"
title = { en = "First", de = "Erster" }
why = { en = "Because", de = "Darum" }
without = [{ en = "Trouble", de = "Ärger" }]
estimate_hours = { low = 1, high = 2.5 }
resources = [{ title = "Somewhere", url = "https://example.com/" }]

[[section.table]]
title = { en = "Table", de = "Tabelle" }
columns = [{ en = "Name", de = "Bezeichnung" }, { en = "Value", de = "Wert" }]
rows = [["nosniff", { en = "yes", de = "ja" }]]

[[item]]
key = "first.done"
section = "first"
kind = "automatic"
severity = "must"
rule = "postgres.answers"
rule_text = { en = "It answers.", de = "Sie antwortet." }
title = { en = "Done", de = "Erledigt" }
why = { en = "Because", de = "Darum" }
how = { en = "So", de = "Derart" }
estimate_minutes = 5

[[plan]]
key = "do_it"
day = 1
half = "morning"
title = { en = "Do it", de = "Erledigen" }
hours = { low = 1, high = 2.5 }
items = ["first.done"]

[[cost]]
key = "database"
service = { en = "Database", de = "Datenbank" }
plan = "Basic"
amount = 7.5
currency = "USD"
period = "month"
severity = "must"
note = { en = "With backups", de = "Mit Backups" }

[[alert_rule]]
key = "rate"
title = { en = "Rate", de = "Häufung" }
condition = "error_rate"
threshold = 10
interval_seconds = 60
how = { en = "Send mail", de = "Mail senden" }
"""

# As little as a template can be.
BARE = """
[template]
key = "bare"
version = 1
title = "Bare"

[[section]]
key = "people"
title = "People"

[[item]]
key = "people.ruth"
section = "people"
kind = "manual"
severity = "must"
title = "Ask Ruth"
"""


def find_texts(value: object, path: str = "") -> Iterator[tuple[str, Text]]:
    """Every Text below a frozen value, with the path that leads to it."""
    if isinstance(value, Text):
        yield path, value
    elif isinstance(value, tuple):
        for position, part in enumerate(value):
            yield from find_texts(part, f"{path}[{getattr(part, 'key', position)}]")
    elif is_dataclass(value):
        for field in fields(value):
            yield from find_texts(getattr(value, field.name), f"{path}.{field.name}")


def add_costs(source: str, *lines: tuple[str, str, str, str, str]) -> Template:
    """The small template with more cost lines: key, amount, period, severity, alternative_of."""
    for key, amount, period, severity, alternative_of in lines:
        alternative = f'alternative_of = "{alternative_of}"' if alternative_of else ""
        source += f"""
[[cost]]
key = "{key}"
service = {{ en = "Service", de = "Dienst" }}
plan = "Plan"
amount = {amount}
currency = "USD"
period = "{period}"
severity = "{severity}"
{alternative}
note = {{ en = "Note", de = "Notiz" }}
"""
    return parse_template(source, "small")


def test_it_ships_every_item_of_the_reference_in_its_order() -> None:
    shipped = [(item.key, item.kind.value, item.severity.value) for item in load_template().items]
    assert shipped == [(key, kind, severity) for key, kind, severity, _ in EXPECTED_ITEMS]


def test_it_keeps_the_german_titles_of_the_source() -> None:
    template = load_template()
    for key, _, _, title in EXPECTED_ITEMS:
        if title is not None:
            assert template.item(key).title.de == title


def test_it_puts_every_item_into_the_section_that_its_key_names() -> None:
    for item in load_template().items:
        assert item.section == (item.key.split(".")[0] if "." in item.key else "operations")


def test_it_groups_items_by_section_in_order() -> None:
    groups = load_template().items_by_section()
    assert [(section.key, len(items)) for section, items in groups] == [
        ("postgresql", 7),
        ("https", 7),
        ("errors", 8),
        ("testing", 6),
        ("operations", 11),
    ]


def test_it_gives_every_rule_to_one_item_only() -> None:
    items = load_template().items
    rules = [item.rule for item in items if item.kind.value != M]
    assert all(rules)
    assert len(set(rules)) == len(rules) == 36
    assert {item.rule for item in items if item.kind.value == M} == {""}


def test_it_says_everything_in_two_different_languages() -> None:
    texts = dict(find_texts(load_template()))
    assert len(texts) > 39 * 4
    for path, text in texts.items():
        assert text.en.strip(), path
        assert text.de.strip(), path
        if ".rows[" not in path:  # a cell may hold a header or a price
            assert text.en != text.de, path


def test_it_explains_how_at_a_readable_length() -> None:
    for item in load_template().items:
        for language in ("en", "de"):
            words = len(item.how.for_language(language).split())
            assert 40 <= words <= 160, f"{item.key} {language}: {words} words"


def test_it_closes_every_code_fence() -> None:
    for path, text in find_texts(load_template()):
        for language in (text.en, text.de):
            assert language.count("```") % 2 == 0, path


def test_it_keeps_the_code_of_both_languages_equally_long() -> None:
    def count_lines(markdown: str) -> list[int]:
        return [block.count("\n") for block in re.findall(r"```.*?```", markdown, re.DOTALL)]

    for item in load_template().items:
        assert count_lines(item.how.en) == count_lines(item.how.de), item.key


@pytest.mark.parametrize("section", ["postgresql", "https", "errors"])
@pytest.mark.parametrize("stack", ["Django", "Node|Express|Vite|Vercel|Prisma|prisma|React|```tsx?\n"])
def test_it_helps_both_stacks_in_each_technical_section(section: str, stack: str) -> None:
    items = [item for item in load_template().items if item.section == section]
    found = [item for item in items if re.search(stack, item.how.en) and re.search(stack, item.how.de)]
    assert len(found) >= len(items) - 1


@pytest.mark.parametrize(
    ("key", "correction"),
    [
        ("postgresql.schema_provider", "relationMode"),
        ("postgresql.pooling", "relationMode"),
        ("postgresql.migration_done", "prisma db pull"),
        ("custom_domain", "76.76.21.21"),
        ("errors.backend_sdk", "Sentry.Handlers"),
        ("https.cookies", "onrender.com"),
        ("https.security_headers", "connect-src"),
    ],
)
def test_it_corrects_what_has_aged_in_the_source(key: str, correction: str) -> None:
    how = load_template().item(key).how
    assert correction in how.en
    assert correction in how.de


def test_it_plans_the_days_of_the_source_with_their_hours() -> None:
    template = load_template()
    for day, (section, low, high) in EXPECTED_DAYS.items():
        steps = [step for step in template.plan if step.day == day]
        assert [step.half for step in steps] == ["morning"] * 4 + ["afternoon"] * 4
        assert sum(step.hours.low for step in steps) == low
        assert sum(step.hours.high for step in steps) == high
        estimate = next(s.estimate_hours for s in template.sections if s.key == section)
        assert (estimate.low, estimate.high) == (low, high)


def test_it_links_every_item_of_the_three_days_to_a_step() -> None:
    template = load_template()
    steps = {step.key: step for step in template.plan}
    for item in template.items:
        if item.section == "testing":
            assert item.plan_step == ""  # the source plans no hours for it
        else:
            assert item.key in steps[item.plan_step].items


def test_it_totals_the_costs_as_the_source_does() -> None:
    totals = add_up_costs(load_template().costs)
    assert totals == (CostTotals("USD", Decimal(7), Decimal(14), Decimal(14), Decimal(15)),)


def test_it_lists_the_prices_of_the_source() -> None:
    monthly = [(line.plan, int(line.monthly), line.severity.value) for line in load_template().costs]
    assert monthly == [
        ("Render Starter", 7, "must"),
        ("Supabase Free", 0, "must"),
        ("Render Starter", 7, "must"),
        ("Vercel Hobby", 0, "must"),
        ("Let's Encrypt", 0, "must"),
        ("Sentry Free", 0, "must"),
        (".com Domain", 1, "optional"),
    ]


def test_it_counts_one_of_several_alternatives() -> None:
    template = add_costs(
        SMALL,
        ("cheap", "2", "month", "must", "database"),
        ("dear", "30", "month", "must", "database"),
        ("mail", "24", "year", "must", ""),
        ("domain", "12", "year", "optional", ""),
        ("other_domain", "60", "year", "optional", "domain"),
    )
    totals = CostTotals("USD", Decimal(4), Decimal(32), Decimal("9.5"), Decimal("10.5"))
    assert add_up_costs(template.costs) == (totals,)


def test_it_totals_nothing_when_nothing_costs() -> None:
    without_costs = re.sub(r"\[\[cost\]\].*(?=\[\[alert_rule\]\])", "", SMALL, flags=re.DOTALL)
    assert add_up_costs(parse_template(without_costs, "small").costs) == ()


def test_it_knows_the_four_alert_rules() -> None:
    rules = load_template().alert_rules
    needs = [(r.condition.value, r.levels, r.value, r.threshold, r.interval_seconds) for r in rules]
    assert needs == [
        ("first_seen", ("error", "fatal"), "", 0, 0),
        ("error_rate", (), "", 10, 60),
        ("message_contains", (), "database", 0, 0),
        ("tagged", (), "auth-failure", 0, 0),
    ]


def test_it_compares_the_databases_and_lists_the_headers() -> None:
    tables = {section.key: section.tables for section in load_template().sections}
    assert len(tables["postgresql"][0].rows) == 9
    headers = [row[0].en for row in tables["https"][0].rows]
    assert headers == [
        "Content-Security-Policy",
        "Strict-Transport-Security",
        "X-Frame-Options",
        "X-Content-Type-Options",
        "Referrer-Policy",
    ]


def test_it_reads_a_template_only_once() -> None:
    assert load_template() is load_template()


def test_it_hands_out_values_that_nobody_can_change() -> None:
    with pytest.raises(FrozenInstanceError):
        load_template().version = 2  # type: ignore[misc]


def test_it_has_no_item_of_an_unknown_key() -> None:
    with pytest.raises(KeyError):
        load_template().item("postgresql.nothing")


@pytest.mark.parametrize(
    ("code", "expected"),
    [("de", "Hallo"), ("de-AT", "Hallo"), ("de_CH", "Hallo"), ("DE", "Hallo"), ("en", "Hello"), ("den", "Hello")],
)
def test_it_picks_the_language(code: str, expected: str) -> None:
    assert Text(en="Hello", de="Hallo").for_language(code) == expected


@pytest.mark.parametrize("key", ["no-such", "../secrets", "", "Go-Live", "go_live"])
def test_it_names_the_known_templates_when_asked_for_another(key: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(f'no checklist template "{key}"; there is: go-live.')):
        load_template(key)


def test_it_reads_a_small_template() -> None:
    template = parse_template(SMALL, "small")
    assert (template.version, template.item("first.done").plan_step) == (3, "do_it")
    assert template.sections[0].estimate_hours.high == 2.5
    assert template.sections[0].tables[0].rows == ((Text("nosniff", "nosniff"), Text("yes", "ja")),)
    assert template.costs[0].amount == Decimal("7.5")


AUTOMATIC = 'kind = "automatic"\nseverity = "must"\nrule = "postgres.answers"'
MANUAL = 'severity = "must"\nkind = "manual"\n'
ITEM_FIRST_DONE = SMALL[SMALL.index("[[item]]") : SMALL.index("[[plan]]")]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('key = "small"', 'key = "other"', '[template] says that its key is "other"'),
        ("version = 3", "version = 0", '"template" needs "version" as a whole number above zero'),
        ("version = 3", "version = true", '"template" needs "version" as a whole number above zero'),
        ("[template]", "[templates]", 'the top level has an unknown field "templates"'),
        (', de = "Eine Einleitung"', "", '"intro" of "template" needs the text "de"'),
        ('de = "Ärger"', 'de = " "', '"without" 1 of section "first" needs the text "de"'),
        ("https://example.com/", "http://example.com/", "is not an https address"),
        ('rows = [["nosniff", ', 'rows = [["nosniff", "more", ', "every row needs 2 cells"),
        ("rows = [[", "rows = [7, [", 'needs "rows" as a list of lists'),
        ('["nosniff"', "[7", 'row 1 of table 1 of section "first" must be a table'),
        ("estimate_hours = { low = 1", "estimate_hours = { low = 9", "low is above high"),
        ("estimate_hours = { low = 1", "estimate_hours = { low = -1", "a number that is not negative"),
        ("estimate_hours = { low = 1", 'estimate_hours = { low = "1"', 'needs the number "low"'),
        ("estimate_hours = { low = 1", "estimate_hours = { low = nan", "a number that is not negative"),
        ('section = "first"', 'section = "second"', 'item "first.done" is in the unknown section "second"'),
        ('kind = "automatic"', 'kind = "magic"', 'kind "magic" is not one of automatic, hybrid, manual'),
        ('kind = "automatic"', 'kind = "manual"', 'item "first.done" is manual and must not have a rule'),
        ('rule = "postgres.answers"', "", 'item "first.done" needs the text "rule"'),
        ('rule = "postgres.answers"', 'rule = "answers"', '"answers" is not a rule'),
        ('severity = "must"\nrule', 'severity = "urgent"\nrule', 'severity "urgent" is not one of must, should'),
        ('title = { en = "Done"', 'titel = { en = "Done"', 'item "first.done" has an unknown field "titel"'),
        ('title = { en = "Done", de = "Erledigt" }', "title = 7", '"title" of item "first.done" must be a table'),
        ('title = { en = "Done"', 'title = { en = "Two\\nlines"', "a title is one line of at most 200 characters"),
        ('title = { en = "Done"', f'title = {{ en = "{"x" * 201}"', "a title is one line of at most 200 characters"),
        ('why = { en = "Because"', f'why = {{ en = "{"x" * 20_001}"', '"en" is longer than 20000 characters'),
        ('why = { en = "Because"', 'why = { en = "Be\\u0000cause"', '"en" holds a control character'),
        ("estimate_minutes = 5", 'evidence = ["note"]', 'is automatic and must not have "evidence": its facts decide'),
        ("estimate_minutes = 5", "approvals = 1", 'is automatic and must not have "approvals"'),
        ("estimate_minutes = 5", "valid_days = 3", 'is automatic and must not have "valid_days"'),
        ("estimate_minutes = 5", "per_release = true", 'is automatic and must not have "per_release"'),
        (AUTOMATIC, f'{MANUAL}evidence = ["probe"]', 'is manual and must not want the evidence "probe"'),
        (AUTOMATIC, f'{MANUAL}evidence = ["link"]', 'evidence "link" is not one of url, file, note, probe'),
        (AUTOMATIC, f'{MANUAL}evidence = ["url", "url"]', "evidence lists something twice"),
        (AUTOMATIC, f"{MANUAL}approvals = 3", 'needs "approvals" as a whole number from 0 to 2'),
        (AUTOMATIC, f"{MANUAL}approvals = true", 'needs "approvals" as a whole number from 0 to 2'),
        (AUTOMATIC, f"{MANUAL}valid_days = 0", 'needs "valid_days" as a whole number above zero'),
        (AUTOMATIC, f"{MANUAL}per_release = 1", 'needs "per_release" as true or false'),
        ("estimate_minutes = 5", 'applies_to = ["live"]', 'applies_to "live" is not one of production, staging'),
        ("estimate_minutes = 5", "estimate_minutes = 1_000_000_001", '"estimate_minutes" is above 1000000000'),
        ('key = "first.done"', f'key = "{"x" * 81}"', '"key" is longer than 80 characters'),
        ("estimate_minutes = 5", "estimate_minutes = 2.5", 'needs "estimate_minutes" as a whole number'),
        ('key = "first.done"', 'key = "First done"', '"First done" is not a key'),
        ('key = "first.done"', "", 'item 1 needs the text "key"'),
        (ITEM_FIRST_DONE, ITEM_FIRST_DONE * 2, 'the item key "first.done" is used twice'),
        ('items = ["first.done"]', 'items = ["first.gone"]', 'plan step "do_it" links the unknown item "first.gone"'),
        ('items = ["first.done"]', "items = [7]", 'plan step "do_it" needs "items" as a list of texts'),
        ('items = ["first.done"]', 'items = "first.done"', 'plan step "do_it" needs "items" as a list'),
        ('["first.done"]', '["first.done", "first.done"]', 'item "first.done" is linked by more than one plan step'),
        ('half = "morning"', 'half = "night"', 'half "night" is not one of morning, afternoon'),
        ('period = "month"', 'period = "week"', 'period "week" is not one of month, year'),
        ("amount = 7.5", "amount = -1", 'cost "database" needs "amount" as a number that is not negative'),
        ("amount = 7.5", "amount = true", 'cost "database" needs the number "amount"'),
        ("threshold = 10\n", "", 'with the condition error_rate needs "threshold"'),
        ("threshold = 10\n", 'threshold = 10\nvalue = "x"\n', 'with the condition error_rate must not have "value"'),
    ],
)
def test_it_says_in_one_sentence_what_is_wrong(old: str, new: str, sentence: str) -> None:
    assert SMALL.count(old) >= 1
    with pytest.raises(TemplateError) as caught:
        parse_template(SMALL.replace(old, new, 1), "small")
    assert sentence in str(caught.value)
    assert str(caught.value).startswith('Template "small": ')
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_it_needs_little_of_an_item_of_ones_own() -> None:
    template = parse_template(BARE, "bare")
    (item,) = template.items
    assert (item.title, item.why, item.rule_text) == (Text("Ask Ruth", "Ask Ruth"), Text("", ""), Text("", ""))
    assert (item.evidence, item.approvals, item.valid_days, item.estimate_minutes) == ((), 0, 0, 0)
    assert template.sections[0].estimate_hours == Hours(0, 0)


def test_it_says_what_an_item_demands() -> None:
    demands = 'evidence = ["note", "url"]\napprovals = 2\nvalid_days = 30\napplies_to = ["staging"]\nper_release = true'
    item = parse_template(BARE + demands, "bare").items[0]
    assert (item.evidence, item.approvals) == ((EvidenceKind.URL, EvidenceKind.NOTE), 2)
    assert (item.valid_days, item.applies_to, item.per_release) == (30, ("staging",), True)


def test_it_wants_approvals_and_evidence_of_shipped_items_that_people_verify() -> None:
    items = load_template().items
    assert {item.kind.value for item in items if item.approvals or item.evidence} == {H, M}
    assert all(item.approvals == 1 for item in items if item.kind.value == H)
    assert all(item.applies_to == () for item in items)


def test_it_knows_the_kinds_of_environment_that_there_are() -> None:
    assert list(ENVIRONMENT_KINDS) == Environment.Kind.values


def test_it_leaves_out_what_is_not_for_an_environment() -> None:
    only = SMALL.replace("estimate_minutes = 5", 'applies_to = ["production"]')
    more = '[[section]]\nkey = "second"\ntitle = "Second"\n\n[[item]]\nkey = "all"\nsection = "second"\ntitle = "All"\n'
    template = parse_template(only + more + 'kind = "manual"\nseverity = "must"\n', "small")

    assert template.for_environment("production") is template
    staging = template.for_environment("staging")
    assert [item.key for item in staging.items] == ["all"]
    assert [section.key for section in staging.sections] == ["second"]
    assert [step.items for step in staging.plan] == [()]


def test_it_reads_a_draft_without_items() -> None:
    unfinished = BARE[: BARE.index("[[item]]")]
    assert parse_draft(unfinished, "bare").sections[0].key == "people"
    with pytest.raises(TemplateError, match='section "people" has no items'):
        parse_template(unfinished, "bare")
    with pytest.raises(TemplateError, match="there are no items"):
        parse_template(BARE[: BARE.index("[[section]]")], "bare")


def test_it_has_a_limit_for_items() -> None:
    item = BARE[BARE.index("[[item]]") :]
    more = "".join(item.replace("people.ruth", f"people.n{number}") for number in range(500))
    with pytest.raises(TemplateError, match="there are more than 500 items"):
        parse_template(BARE + more, "bare")


def test_it_says_where_toml_is_broken() -> None:
    with pytest.raises(TemplateError, match=r'^Template "small" is not valid TOML: .*line 1'):
        parse_template("[template\n", "small")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("hostile", "sentence"),
    [
        ("a." * 200_000 + "a = 1", "has more than 500 dots in line 1."),
        ("x = " + "[" * 200_000, "maximum recursion depth exceeded"),
        ("x = " + "{a=" * 100_000, "maximum recursion depth exceeded"),
        ("\n".join("a." * 500 + f"b{number} = 1" for number in range(100)), 'has an unknown field "a"'),
    ],
    ids=["dots", "lists", "tables", "many dots"],
)
def test_it_refuses_hostile_text_in_time(hostile: str, sentence: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(sentence)):
        parse_template(hostile, "small")


def test_it_needs_the_template_table() -> None:
    with pytest.raises(TemplateError, match='"template" must be a table'):
        parse_template("", "small")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (("twin", "1", "month", "must", "nothing"), 'an alternative of "nothing", which is no first choice'),
        (("twin", "1", "month", "must", "twin"), 'an alternative of "twin", which is no first choice'),
        (("twin", "1", "month", "optional", "database"), '"twin" and its first choice "database" differ in severity'),
        (("database", "1", "month", "must", ""), 'the cost key "database" is used twice'),
    ],
)
def test_it_rejects_alternatives_that_lead_nowhere(line: tuple[str, str, str, str, str], sentence: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(sentence)):
        add_costs(SMALL, line)


def test_it_rejects_an_alternative_of_an_alternative() -> None:
    lines = (("second", "1", "month", "must", "database"), ("third", "1", "month", "must", "second"))
    with pytest.raises(TemplateError, match='cost "third" is an alternative of "second", which is no first choice'):
        add_costs(SMALL, *lines)


def test_it_rejects_costs_in_two_currencies() -> None:
    more = SMALL[SMALL.index("[[cost]]") : SMALL.index("[[alert_rule]]")]
    more = more.replace('"database"', '"other"').replace("USD", "EUR")
    with pytest.raises(TemplateError, match="the costs are in more than one currency"):
        parse_template(SMALL + more, "small")
