"""What seldom changes is asked less often: good answers are carried on with their age, bad ones are asked again."""

import json
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readiness.probes.base import Probe, ProbeResult, Status, Target, TargetEndpoint
from readiness.probes.carried import find_entry, is_young, read_good_answer
from readiness.probes.http import HttpProbe
from readiness.probes.tls import TlsProbe
from readiness.probes.tls_history import continue_history
from tests.servers.certificates import Identity, make_certificate, make_root
from tests.servers.hostile import hang_up
from tests.servers.probing import find, lead_to, make_target, probe_now
from tests.servers.sockets import LocalServer, serve
from tests.servers.web import Answer, serve_https_site, serve_site

HOST, ALIAS = "www.preflight.test", "preflight.test"
ROOT = make_root()
IDENTITY = make_certificate(HOST, ROOT, hosts=[HOST, ALIAS])
FRONTEND = TargetEndpoint("frontend", f"https://{HOST}/")
HSTS = Answer(headers=[("Strict-Transport-Security", "max-age=31536000")])
AN_HOUR = timedelta(hours=1)


class Site:
    """A site on two local ports that is probed again and again as a stored environment is."""

    def __init__(self, stack: ExitStack, plain: Answer, identity: Identity = IDENTITY, **options: Any) -> None:
        self.secure: LocalServer = stack.enter_context(serve_https_site(HSTS, identity, **options))
        self.plain: LocalServer = stack.enter_context(serve_site(plain))
        self.previous: Any = None

    def probe(self, probe: Probe[Any], *endpoints: TargetEndpoint, kept_for: timedelta = AN_HOUR) -> ProbeResult:
        target = make_target(
            *(endpoints or (FRONTEND,)),
            ca_pem=ROOT.pem,
            connect_to=(lead_to(self.secure, port=443), lead_to(self.plain, port=80)),
            previous=self.previous,
            oldest_answer_at=datetime.now(UTC) - kept_for,
        )
        result = probe_now(probe, target)
        self.previous = json.loads(json.dumps(dict(result.data)))  # as the database keeps it
        return result

    def count_connections(self) -> tuple[int, int]:
        """How many came since the last question, over TLS and plain."""
        counts = len(self.secure.connections), len(self.plain.connections)
        self.secure.connections.clear()
        self.plain.connections.clear()
        return counts


REDIRECT = Answer(301, [("Location", f"https://{HOST}/")])


def test_tls_tries_the_protocols_at_first_and_then_only_after_a_while() -> None:
    with ExitStack() as stack:
        site = Site(stack, REDIRECT)
        first = site.probe(TlsProbe())
        assert site.count_connections()[0] == 4  # one handshake, three pinned versions
        second = site.probe(TlsProbe())
        assert site.count_connections()[0] == 1
        third = site.probe(TlsProbe(), kept_for=timedelta(0))
        assert site.count_connections()[0] == 4
    times = [each.data["endpoints"][0]["protocols_asked_at"] for each in (first, second, third)]
    assert times[0] == times[1] < times[2]
    assert first.data["protocols"] == second.data["protocols"] == ["TLSv1.2", "TLSv1.3"]
    assert "not every time" in find(second, "protocols").detail
    assert "not every time" not in find(third, "protocols").detail
    assert (second.status, second.data["grade"]) == (Status.PASS, "A+")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_tries_old_protocols_every_time_so_that_their_end_shows_at_once() -> None:
    import ssl

    def allow_old(context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1

    with ExitStack() as stack:
        site = Site(stack, REDIRECT, configure=allow_old)
        for _ in range(2):
            assert site.probe(TlsProbe()).status is Status.WARN
            assert site.count_connections()[0] == 4


def test_tls_notices_a_renewed_certificate_and_remembers_when() -> None:
    old = make_certificate(HOST, ROOT, hosts=[HOST], starts_in=timedelta(days=-80), ends_in=timedelta(days=10, hours=1))
    with ExitStack() as stack:
        before = Site(stack, REDIRECT, old)
        first = before.probe(TlsProbe())
        after = Site(stack, REDIRECT)
        after.previous = before.previous
        second, third = after.probe(TlsProbe()), after.probe(TlsProbe())
    assert not [finding for finding in first.findings if finding.id == "certificate_change"]
    change = find(second, "certificate_change")
    assert change.status is Status.PASS
    assert f"was renewed on {datetime.now(UTC):%Y-%m-%d} at" in change.summary
    assert first.data["fingerprint_sha256"] in change.detail
    assert second.data["fingerprint_sha256"] in change.detail
    assert find(third, "certificate_change") == change
    replaced = third.data["endpoints"][0]["replaced"]
    assert replaced["fingerprint_sha256"] == first.data["fingerprint_sha256"]


def test_tls_says_when_a_new_certificate_lasts_no_longer_and_comes_from_another_issuer() -> None:
    other = make_certificate("Preflight Other CA", ROOT, is_ca=True)
    short = make_certificate(HOST, other, hosts=[HOST], ends_in=timedelta(days=40))
    with ExitStack() as stack:
        before = Site(stack, REDIRECT)
        before.probe(TlsProbe())
        after = Site(stack, REDIRECT, short)
        after.previous = before.previous
        change = find(after.probe(TlsProbe()), "certificate_change")
    assert "exchanged for one that lasts no longer" in change.summary
    assert "by another issuer (Preflight Other CA)" in change.summary


def test_tls_remembers_a_certificate_through_an_outage() -> None:
    with ExitStack() as stack:
        site = Site(stack, REDIRECT)
        seen = site.probe(TlsProbe()).data["endpoints"][0]["certificate"]
        site.secure = stack.enter_context(serve(hang_up))
        during = site.probe(TlsProbe())
    assert (during.status, during.reason) == (Status.FAIL, "closed")
    assert during.data["endpoints"][0]["certificate"] == seen


def test_http_asks_a_plain_port_that_redirects_only_after_a_while() -> None:
    with ExitStack() as stack:
        site = Site(stack, REDIRECT)
        first = site.probe(HttpProbe())
        assert site.count_connections() == (1, 1)
        second = site.probe(HttpProbe())
        assert site.count_connections() == (1, 0)
        third = site.probe(HttpProbe(), kept_for=timedelta(0))
        assert site.count_connections() == (1, 1)
    asked = [each.data["endpoints"][0]["asked"]["at"] for each in (first, second, third)]
    assert asked[0] == asked[1] < asked[2]
    assert {find(each, "https_redirect").summary for each in (first, second, third)} == {
        f"http://{HOST}/ redirects to https://{HOST}/."
    }
    assert "not asked every time" in find(second, "https_redirect").detail
    assert second.status is Status.PASS


def test_http_asks_a_plain_port_that_serves_pages_every_time() -> None:
    with ExitStack() as stack:
        site = Site(stack, Answer())
        for _ in range(2):
            assert site.probe(HttpProbe()).reason == "no_https_redirect"
            assert site.count_connections() == (1, 1)


def test_http_asks_a_good_alias_only_after_a_while_and_a_bad_one_every_time() -> None:
    alias = TargetEndpoint("alias", f"https://{ALIAS}/")
    with ExitStack() as stack:
        site = Site(stack, REDIRECT)
        first = site.probe(HttpProbe(), FRONTEND, alias)
        assert site.count_connections() == (2, 2)
        second = site.probe(HttpProbe(), FRONTEND, alias)
        assert site.count_connections() == (1, 0)
        # The frontend alone cannot vouch for a site that has nothing but aliases.
        site.probe(HttpProbe(), alias)
        assert site.count_connections()[0] == 1
    assert first.data["endpoints"][1] == second.data["endpoints"][1]
    assert [(each.id, each.summary) for each in first.findings][4:] == [
        (each.id, each.summary) for each in second.findings
    ][4:]
    with ExitStack() as stack:
        site = Site(stack, Answer())  # its plain port serves pages
        for _ in range(2):
            site.probe(HttpProbe(), FRONTEND, alias)
            assert site.count_connections() == (2, 2)


def test_the_command_line_asks_everything_and_keeps_nothing() -> None:
    with ExitStack() as stack:
        site = Site(stack, REDIRECT)
        connect_to = (lead_to(site.secure, port=443), lead_to(site.plain, port=80))
        plain = make_target(FRONTEND, ca_pem=ROOT.pem, connect_to=connect_to)
        assert "endpoints" not in probe_now(TlsProbe(), plain).data
        assert "asked" not in probe_now(HttpProbe(), plain).data["endpoints"][0]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just("2026-01-01T00:00:00+00:00"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["url", "asked", "at", "findings", "certificate", "replaced", "not_after", "since", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(json_values, json_values)
def test_it_reads_whatever_an_earlier_result_may_hold(entries: Any, entry: Any) -> None:
    now = datetime.now(UTC)
    target = Target("x", (FRONTEND,), previous={"endpoints": entries}, oldest_answer_at=now - AN_HOUR)
    found = find_entry(target, FRONTEND.url)
    read_good_answer(found, target)
    continue_history(found, None, now)
    if isinstance(entry, dict):
        read_good_answer(entry, target)
        continue_history(entry, None, now)
    assert is_young(now, target)
