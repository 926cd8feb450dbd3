"""The dns probe against a nameserver on loopback."""

import io
import json
import time
from datetime import UTC, datetime
from typing import Any

import dns.resolver
import pytest
from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as st

from readiness.probes.base import (
    ErrorReason,
    ExpectedRecord,
    ProbeResult,
    Status,
    TargetEndpoint,
    TargetError,
    TargetOptions,
)
from readiness.probes.dns import DnsObservation, DnsProbe, split_nameserver
from readiness.probes.dns_records import Answer, CaaAnswer, DnsFailure, HostObservation
from tests.servers.dns import Zone, serve_zone
from tests.servers.probing import find, make_target, probe_now

HOST = "www.preflight.test"
FRONTEND = TargetEndpoint("frontend", f"https://{HOST}/")
GOOD: Zone = {
    HOST: {"A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]},
    "preflight.test": {"CNAME": [f"{HOST}."], "CAA": ['0 issue "letsencrypt.org"']},
    "shop.preflight.test": {"CNAME": ["edge.hosting.test."]},
    "edge.hosting.test": {"A": ["198.51.100.7"]},
}


def probe_zone(zone: Zone, *endpoints: TargetEndpoint, truncate: bool = False, **options: Any) -> ProbeResult:
    """Probe endpoints with a nameserver that serves `zone`."""
    with serve_zone(zone, truncate=truncate) as nameserver:
        target = make_target(*(endpoints or (FRONTEND,)), nameservers=(nameserver.address,), **options)
        return probe_now(DnsProbe(), target)


def test_it_passes_a_name_with_addresses_and_says_which() -> None:
    result = probe_zone(GOOD)
    assert (result.status, result.reason) == (Status.PASS, None)
    (host,) = result.data["hosts"]
    assert (host["a"], host["aaaa"], host["cname"]) == (["192.0.2.1"], ["2001:db8::1"], [])
    assert host["ttl_seconds"] == 300


def test_it_fails_a_name_that_does_not_exist() -> None:
    result = probe_zone({"preflight.test": {"A": ["192.0.2.1"]}})
    assert (result.status, result.reason) == (Status.FAIL, "no_such_name")
    assert find(result, "address").summary == f"There is no name {HOST}."


@pytest.mark.parametrize("code", ["SERVFAIL", "REFUSED"])
def test_it_cannot_tell_when_the_resolver_fails_and_repeats_its_words(code: str) -> None:
    result = probe_zone({HOST: code})
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.RESOLVER_FAILED)
    assert code in find(result, "address").summary and "signature expired" in find(result, "address").summary


def test_it_cannot_tell_when_the_resolver_answers_garbage() -> None:
    result = probe_zone({HOST: "garbage"}, timeout_seconds=1.0)
    assert result.status is Status.ERROR
    assert result.reason in (ErrorReason.RESOLVER_FAILED, ErrorReason.TIMEOUT)


def test_it_keeps_its_deadline_when_the_resolver_is_silent() -> None:
    started = time.monotonic()
    result = probe_zone({HOST: "silent"}, timeout_seconds=0.5)
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.TIMEOUT)
    assert time.monotonic() - started < 3


def test_it_cannot_tell_without_any_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver, "Resolver", refuse)
    result = probe_now(DnsProbe(), make_target(FRONTEND))
    assert (result.status, result.reason) == (Status.ERROR, ErrorReason.RESOLVER_FAILED)


def test_it_asks_over_tcp_when_an_answer_is_cut() -> None:
    assert probe_zone(GOOD, truncate=True).status is Status.PASS


def test_it_fails_a_name_without_any_address() -> None:
    result = probe_zone({HOST: {"TXT": ['"hello"']}})
    assert (result.status, result.reason) == (Status.FAIL, "no_address")


def test_it_names_an_alias_of_a_name_that_is_gone() -> None:
    result = probe_zone({HOST: {"CNAME": ["gone.hosting.test."]}})
    assert (result.status, result.reason) == (Status.FAIL, "no_such_name")
    assert "gone.hosting.test" in find(result, "address").summary


def test_it_warns_when_one_type_says_that_there_is_no_such_name() -> None:
    result = probe_zone({HOST: {"A": ["192.0.2.1"]}, f"{HOST}/AAAA": "NXDOMAIN"})
    assert find(result, "address").status is Status.WARN


@pytest.mark.parametrize(
    ("record", "status"),
    [
        (ExpectedRecord("A", ("192.0.2.1",)), Status.PASS),
        (ExpectedRecord("A", ("192.0.2.1", "192.0.2.2")), Status.WARN),
        (ExpectedRecord("A", ("192.0.2.9",)), Status.FAIL),
        (ExpectedRecord("AAAA", ("2001:0DB8:0::1",)), Status.PASS),
        (ExpectedRecord("AAAA", ()), Status.FAIL),
        (ExpectedRecord("CNAME", ()), Status.PASS),
        (ExpectedRecord("CNAME", ("edge.hosting.test",), "shop.preflight.test"), Status.PASS),
        (ExpectedRecord("cname", ("Edge.Hosting.Test.",), "Shop.Preflight.Test."), Status.PASS),
        (ExpectedRecord("CNAME", ("other.hosting.test",), "shop.preflight.test"), Status.FAIL),
        (ExpectedRecord("A", ("192.0.2.1",), "nowhere.preflight.test"), Status.FAIL),
        (ExpectedRecord("A", (), "nowhere.preflight.test"), Status.PASS),
    ],
)
def test_it_compares_records_with_what_is_expected(record: ExpectedRecord, status: Status) -> None:
    result = probe_zone(GOOD, expected_records=(record,))
    assert find(result, f"expected-{record.type.lower()}").status is status
    assert result.data["expected"][0]["ok"] is (status is Status.PASS)
    assert result.reason == ("wrong_record" if status is Status.FAIL else None)


def test_it_does_not_call_an_expected_record_wrong_when_the_resolver_fails() -> None:
    result = probe_zone({HOST: "SERVFAIL"}, expected_records=(ExpectedRecord("A", ("192.0.2.1",)),))
    assert find(result, "expected-a").status is Status.ERROR


def test_it_says_where_an_alias_leads() -> None:
    same, other = (TargetEndpoint("alias", f"https://{host}/") for host in ("preflight.test", "shop.preflight.test"))
    assert f"leads to where {HOST} is" in find(probe_zone(GOOD, FRONTEND, same), "alias").summary
    result = probe_zone(GOOD, FRONTEND, other)
    assert "leads elsewhere" in find(result, "alias").summary
    assert result.data["hosts"][1]["cname"] == ["edge.hosting.test"]


def test_it_finds_the_caa_records_of_a_parent() -> None:
    result = probe_zone(GOOD)
    assert result.data["caa"] == [
        {
            "host": HOST,
            "found_at": "preflight.test",
            "records": [{"flags": 0, "tag": "issue", "value": "letsencrypt.org"}],
        }
    ]
    assert "letsencrypt.org" in find(result, "caa").summary


def test_it_fails_a_zone_that_forbids_every_authority() -> None:
    result = probe_zone({**GOOD, HOST: {"A": ["192.0.2.1"], "CAA": ['0 issue ";"']}})
    assert (result.status, result.reason) == (Status.FAIL, "caa_forbids")


def test_it_cannot_tell_when_only_the_caa_lookup_fails() -> None:
    result = probe_zone({**GOOD, f"{HOST}/CAA": "SERVFAIL"})
    assert find(result, "address").status is Status.PASS
    assert (find(result, "caa").status, result.reason) == (Status.ERROR, ErrorReason.RESOLVER_FAILED)


def test_it_skips_endpoints_that_are_addresses() -> None:
    with serve_zone({}) as nameserver:
        target = make_target("https://192.0.2.1/", nameservers=(nameserver.address,))
        assert probe_now(DnsProbe(), target).status is Status.SKIPPED
    assert nameserver.questions == []
    assert probe_now(DnsProbe(), make_target()).reason is ErrorReason.NOTHING_TO_PROBE


def test_it_asks_for_international_names_in_their_ascii_form() -> None:
    zone: Zone = {"xn--bcher-kva.test": {"A": ["192.0.2.1"]}}
    assert probe_zone(zone, TargetEndpoint("frontend", "https://bücher.test/")).status is Status.PASS


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
    ],
)
def test_it_reads_nameservers(text: str, parts: tuple[str, int]) -> None:
    assert split_nameserver(text) == parts


@pytest.mark.parametrize("text", ["", "dns.example.org", "192.0.2.1:0", "192.0.2.1:x", "[::1"])
def test_it_refuses_what_is_no_nameserver(text: str) -> None:
    with pytest.raises(TargetError):
        DnsProbe().parse_target(HOST, TargetOptions(nameservers=(text,)))


def test_it_takes_what_to_expect_and_whom_to_ask_from_the_command_line(settings: Any) -> None:
    settings.READINESS_PROBES = {"dns": "readiness.probes.dns.DnsProbe"}
    with serve_zone(GOOD) as nameserver:
        output = io.StringIO()
        with pytest.raises(SystemExit) as caught:
            call_command(
                "probe", "dns", HOST, "--nameserver", nameserver.address, "--expect=A=192.0.2.1,192.0.2.2",
                "--expect=AAAA=", "--expect=CNAME=", "--json", stdout=output,
            )  # fmt: skip
    assert caught.value.code == 1
    expected = json.loads(output.getvalue())["data"]["expected"]
    assert [(each["type"], each["expected"], each["ok"]) for each in expected] == [
        ("A", ["192.0.2.1", "192.0.2.2"], False),
        ("AAAA", [], False),
        ("CNAME", [], True),
    ]


_TEXTS = st.text(max_size=20)
_ANSWERS = st.builds(
    Answer,
    type=st.sampled_from(["A", "AAAA"]),
    values=st.lists(_TEXTS, max_size=3).map(tuple),
    chain=st.lists(_TEXTS, max_size=3).map(tuple),
    ttl_seconds=st.none() | st.integers(),
    reason=st.none() | st.just(DnsFailure.NO_SUCH_NAME) | st.sampled_from(ErrorReason),
    text=_TEXTS,
)
_CAA = st.builds(
    CaaAnswer,
    found_at=_TEXTS,
    records=st.lists(st.tuples(st.integers(), _TEXTS | st.just("issue"), _TEXTS), max_size=3).map(tuple),
    reason=st.none() | st.sampled_from(ErrorReason),
    text=_TEXTS,
)
_HOSTS = st.builds(
    HostObservation,
    host=_TEXTS,
    roles=st.lists(st.sampled_from(["frontend", "api", "alias"]), max_size=2).map(tuple),
    a=_ANSWERS,
    aaaa=_ANSWERS,
    caa=st.none() | _CAA,
)
_EXPECTED = st.builds(
    ExpectedRecord,
    type=st.sampled_from(["A", "AAAA", "CNAME"]),
    values=st.lists(_TEXTS, max_size=2).map(tuple),
    name=_TEXTS,
)


@given(st.lists(_HOSTS, max_size=3), st.lists(_EXPECTED, max_size=2))
def test_it_judges_whatever_a_resolver_may_say(hosts: list[HostObservation], expected: list[ExpectedRecord]) -> None:
    target = make_target(FRONTEND, expected_records=tuple(expected))
    result = DnsProbe().judge(target, DnsObservation(tuple(hosts)), datetime.now(UTC))
    assert json.dumps(result.as_json_object())
    assert (result.reason is not None) or result.status not in (Status.FAIL, Status.ERROR)
