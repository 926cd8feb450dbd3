"""Reading scenarios: what is taken, and the one sentence for what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readiness.probes.scenarios.json_path import MissingError, find_value
from readiness.probes.scenarios.model import Scenario, ScenarioError
from readiness.probes.scenarios.parser import parse_scenario
from readiness.probes.scenarios.patterns import SearchTimeoutError, compile_pattern, search
from readiness.probes.scenarios.shipped import TEMPLATE_NAMES, read_template

HEAD = 'name = "Walk"\nbase_url = "https://shop.preflight.test"\n'
STEP = '[[steps]]\nname = "look"\nurl = "/"\n'


def refuse(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text)
    return str(caught.value)


def test_it_reads_a_step_with_everything_in_it() -> None:
    scenario = parse_scenario(
        HEAD
        + """
users = 3
deadline_seconds = 20
secrets = { password = "env:PASSWORD" }
variables = { title = "t-{{ run }}" }

[[steps]]
name = "create"
method = "post"
url = "/api/items"
sign_in = true
follow_redirects = false
headers = { Authorization = "Bearer {{ secret.password }}" }
json = { title = "{{ title }}", tags = ["a", "{{ user }}"] }
poll = { interval_seconds = 0.5, limit_seconds = 5 }

[steps.expect]
status = [201, "3xx"]
within_ms = 800
body_contains = "ok"
json = [{ path = "items[0].id", exists = true }]
headers = [{ name = "Location", contains = "/items/" }]
cookies = [{ name = "*", secure = true, same_site = "Lax", max_age_seconds = 60 }]

[[steps.capture]]
name = "id"
json = "id"

[[steps.capture]]
name = "csrf"
input = "csrf_token"

[[cleanup]]
name = "remove"
method = "DELETE"
url = "/api/items/{{ id }}"
"""
    )
    (step,) = scenario.steps
    assert (step.method, step.is_sign_in, step.follow_redirects) == ("POST", True, False)
    assert step.expect.statuses == ((201, 201), (300, 399))
    assert step.expect.cookies[0].same_site == ("lax",)
    assert [capture.is_secret for capture in step.captures] == [False, True]
    assert step.poll is not None and step.poll.limit_seconds == 5
    assert scenario.secret_names == {"password"}
    assert [each.name for each in scenario.all_steps] == ["create", "remove"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "The scenario is not TOML"),
        ("", "Scenario, name: it is missing"),
        ('name = "x"\n' + STEP, "Scenario, base_url: it is missing"),
        ('name = "x"\nbase_url = "shop"\n' + STEP, "base_url: an address such as"),
        ('name = "x"\nbase_url = "https://u:p@shop.test"\n' + STEP, "base_url: it carries credentials"),
        (HEAD, "Scenario, steps: at least one"),
        (HEAD + "usres = 3\n" + STEP, "Scenario, usres: there is no such field"),
        (HEAD + "users = 0\n" + STEP, "Scenario, users: a whole number from 1 to 50"),
        (HEAD + STEP + 'metod = "POST"\n', "Step 1 (look), metod: there is no such field"),
        (HEAD + STEP + 'method = "FETCH"\n', "Step 1 (look), method: one of"),
        (HEAD + STEP + "json = { a = 1 }\n", "Step 1 (look), json: GET sends no body"),
        (
            HEAD + STEP + 'method = "POST"\njson = 1\nform = { a = "b" }\n',
            "Step 1 (look), form: a request has one body",
        ),
        (HEAD + STEP + "headers = { Host = 'x' }\n", "headers.Host: this header is written by the probe"),
        (HEAD + STEP + "headers = { X = 'a\\u0000' }\n".replace("'", '"'), "headers.X: this is no header"),
        (HEAD + STEP + "expect.status = 99\n", "Step 1 (look), expect, status: a status such as"),
        (HEAD + STEP + "expect.body_matches = '(a+)+'\n", "expect, body_matches: a repeated group"),
        (HEAD + STEP + "expect.json = [{ path = 'a' }]\n", "expect, json 1, equals: exactly one of"),
        (HEAD + STEP + "expect.json = [{ path = 'a b', exists = true }]\n", "json 1, path: a path such as"),
        (HEAD + STEP + "expect.cookies = [{ name = 's', same_site = 'Loose' }]\n", "cookie 1, same_site: Lax, Strict"),
        (HEAD + STEP + "capture = [{ name = 'user', json = 'a' }]\n", "capture 1, name: letters"),
        (HEAD + STEP + "capture = [{ name = 'a' }]\n", "capture 1, json: exactly one of"),
        (HEAD + STEP + "poll = { limit_seconds = 0 }\n", "Step 1 (look), poll, limit_seconds: a number"),
        (HEAD + STEP + "method = 'POST'\nfiles = [{ field = 'f' }]\n", "file 1, text: exactly one of"),
        (HEAD + STEP + "method = 'POST'\nfiles = [{ field = 'f', base64 = '???' }]\n", "file 1, base64: this is not"),
        (HEAD + STEP + "expect.url_contains = '{{ id }}'\n", "Step look: {{ id }} is neither a variable nor captured"),
        (HEAD + STEP + STEP, "Step look, name: another step has this name"),
        (HEAD + "steps = 3\n", "Scenario, steps: at least one"),
        (HEAD + "steps = [3]\n", "Step 1: a table is expected here"),
    ],
)
def test_it_names_the_step_and_the_field_in_one_sentence(text: str, says: str) -> None:
    complaint = refuse(text)
    assert says in complaint
    assert complaint.endswith(".") and "\n" not in complaint


def test_it_does_not_repeat_a_secret_that_stands_where_a_reference_belongs() -> None:
    complaint = refuse(HEAD + 'secrets = { password = "hunter2" }\n' + STEP)
    assert "secrets.password" in complaint and "hunter2" not in complaint


def test_it_takes_a_value_only_after_the_step_that_captures_it() -> None:
    late = STEP + "capture = [{ name = 'id', json = 'id' }]\n"
    early = "[[steps]]\nname = 'first'\nurl = '/{{ id }}'\n"
    assert "{{ id }}" in refuse(HEAD + early + late)
    assert isinstance(parse_scenario(HEAD + late + early), Scenario)


@pytest.mark.parametrize("name", TEMPLATE_NAMES)
def test_it_reads_every_shipped_template(name: str) -> None:
    scenario = parse_scenario(read_template(name))
    assert scenario.secret_names == set(scenario.secrets) == {"email", "password"}


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.decode("latin-1")))
def test_it_reads_or_refuses_any_text(text: str) -> None:
    for candidate in (text, HEAD + text, HEAD + STEP + text):
        try:
            assert isinstance(parse_scenario(candidate), Scenario)
        except ScenarioError as error:
            assert str(error).endswith(".")


_PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_JSON = st.recursive(
    _PLAIN, lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3)
)


@given(_JSON, st.sampled_from(["a", "a.b", "[0]", "[*].a", "a[*][*].b", '["x y"]', "$", "$.a[-1]"]))
def test_it_finds_something_or_says_what_is_missing(document: object, path: str) -> None:
    try:
        find_value(document, path)
    except MissingError as error:
        assert str(error).startswith("$")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("items[0].id", 1),
        ("$.items[-1].id", 2),
        ("items[*].id", [1, 2]),
        ("items[*].tags[*]", ["a", "b"]),
        ('["odd key"].x', True),
        ("$", {"items": [{"id": 1, "tags": ["a", "b"]}, {"id": 2}], "odd key": {"x": True}}),
    ],
)
def test_it_reads_json_by_path(path: str, value: object) -> None:
    document = {"items": [{"id": 1, "tags": ["a", "b"]}, {"id": 2}], "odd key": {"x": True}}
    assert find_value(document, path) == value


@pytest.mark.parametrize(
    "text",
    ["(a+)+", "(a|aa)*", "(?:x*){2,}", "((a)*)*", r"(a)\1", "(?P<n>a)(?P=n)", "a*a*a*", "a?a?a?a?a?", "(", "a" * 301],
)
def test_it_refuses_expressions_that_may_run_for_ever(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        compile_pattern(text)


@pytest.mark.parametrize(
    ("text", "subject", "found"),
    [
        (r'value="([^"]+)"', "x" * 150_000 + 'value="abc"', "abc"),
        (r"csrf.*?content='(.+?)'".replace(".+?", "[a-z]+"), "<meta csrf content='abc'>", "abc"),
        (r"(\d{4}-\d{2})", "on 2026-01", "2026-01"),
        (r"(pong)?$", "ping pong", "pong"),
        (r"([)(*+?|]+)", "a(*)b", "(*)"),
    ],
)
def test_it_finds_matches_wherever_they_are(text: str, subject: str, found: str) -> None:
    match = search(compile_pattern(text), subject)
    assert match is not None and match[1] == found


def test_it_stops_an_expression_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("readiness.probes.scenarios.patterns.BUDGET_SECONDS", 0.05)
    with pytest.raises(SearchTimeoutError):
        search(compile_pattern(r"\w*\w*="), "a" * 200_000)
