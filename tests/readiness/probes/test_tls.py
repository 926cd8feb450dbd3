"""The tls probe against a local server for each of its codes."""

import contextlib
import socket
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from readiness.probes.base import ErrorReason, ProbeResult, Status, TargetEndpoint, TargetOptions
from readiness.probes.tls import TlsProbe
from readiness.probes.tls_judgement import FAILURES
from tests.servers import hostile
from tests.servers.certificates import (
    Identity,
    make_certificate,
    make_ec_key,
    make_root,
    make_rsa_key,
    make_sha1_certificate,
)
from tests.servers.probing import LOCAL, find, lead_to, make_target, probe_now
from tests.servers.sockets import make_server_context, serve, serve_tls
from tests.servers.web import Answer, make_web_handler, serve_https_site, serve_site

HOST = "www.preflight.test"
ROOT = make_root()
INTERMEDIATE = make_certificate("Preflight Test Intermediate", ROOT, is_ca=True)
GOOD = make_certificate(HOST, INTERMEDIATE, hosts=[HOST])
HSTS = Answer(headers=[("Strict-Transport-Security", "max-age=31536000")])


def issue(**options: Any) -> Identity:
    return make_certificate(HOST, options.pop("issuer", INTERMEDIATE), **{"hosts": [HOST], **options})


def look_at(
    identity: Identity,
    configure: Callable[[ssl.SSLContext], None] | None = None,
    *,
    host: str = HOST,
    answer: Answer = HSTS,
    **options: Any,
) -> ProbeResult:
    """Probe a server with `identity`, which trusts nothing but the test root."""
    with serve_https_site(answer, identity, configure) as server:
        target = make_target(f"https://{host}/", ca_pem=ROOT.pem, connect_to=(lead_to(server, port=443),), **options)
        return probe_now(TlsProbe(), target)


def test_it_passes_a_good_server_and_reports_exactly_the_promised_data() -> None:
    result = look_at(GOOD)
    assert (result.status, result.reason) == (Status.PASS, None)
    assert set(result.data) == {
        *("trusted", "hostname_ok", "days_left", "not_after", "protocols", "key", "chain_len", "failure"),
        *("warnings", "grade", "fingerprint_sha256", "issuer", "subject_alt_names"),
    }
    assert result.data["trusted"] is True and result.data["hostname_ok"] is True
    assert result.data["days_left"] == 89
    assert result.data["protocols"] == ["TLSv1.2", "TLSv1.3"]
    assert result.data["key"] == {"type": "EC", "bits": 256}
    assert result.data["chain_len"] == 2
    assert (result.data["failure"], result.data["warnings"], result.data["grade"]) == (None, [], "A+")
    assert result.data["issuer"] == "Preflight Test Intermediate"
    assert result.data["subject_alt_names"] == [HOST]


UNKNOWN_ROOT = make_root("Somebody's Root")
EXPIRED: dict[str, Any] = {"starts_in": timedelta(days=-90), "ends_in": timedelta(days=-2, hours=-1)}
RELATED_ROOT = make_root("Preflight Rogue CA")
LOWER_CA = make_certificate("Preflight Lower CA", INTERMEDIATE, is_ca=True)
NO_CA = make_certificate("Preflight Not A CA", ROOT)
NO_SIGNER = make_certificate("Preflight Not A Signer", ROOT, is_ca=True, may_sign=False)
SHORT_CA = make_certificate("Preflight Short CA", ROOT, is_ca=True, path_length=0)
OLD_CA = make_certificate("Preflight Old CA", ROOT, is_ca=True, **EXPIRED)
CONSTRAINED_CA = make_certificate("Preflight Narrow CA", ROOT, is_ca=True, permitted=["other.test"])
WEAK_CA = make_certificate("Preflight Weak CA", ROOT, is_ca=True, key=make_rsa_key(1024))

# identity, failure, trusted, hostname_ok
FAULTS: dict[str, tuple[Identity, str, bool, bool]] = {
    "expired": (issue(**EXPIRED), "expired", False, True),
    "expired for another name": (issue(hosts=["x.test"], **EXPIRED), "expired", False, False),
    "expired and self-signed": (make_certificate(HOST, hosts=[HOST], **EXPIRED), "expired", False, True),
    "not yet valid": (issue(starts_in=timedelta(days=2)), "not_yet_valid", False, True),
    "self-signed": (make_certificate(HOST, hosts=[HOST]), "self_signed", False, True),
    "unknown root": (make_certificate(HOST, UNKNOWN_ROOT, hosts=[HOST]), "untrusted_root", False, True),
    "unknown root, sent": (
        make_certificate(HOST, UNKNOWN_ROOT, hosts=[HOST]).sending(UNKNOWN_ROOT),
        "untrusted_root",
        False,
        True,
    ),
    "unknown root behind an intermediate": (
        make_certificate(HOST, make_certificate("Their Intermediate", UNKNOWN_ROOT, is_ca=True), hosts=[HOST]),
        "untrusted_root",
        False,
        True,
    ),
    "unknown root, related by name": (
        make_certificate(HOST, RELATED_ROOT, hosts=[HOST]),
        "untrusted_root",
        False,
        True,
    ),
    "another name": (issue(hosts=["other.preflight.test"]), "hostname_mismatch", True, False),
    "only a common name": (issue(hosts=[]), "hostname_mismatch", True, False),
    "a wildcard two labels up": (issue(hosts=["*.test"]), "hostname_mismatch", True, False),
    "no intermediate": (GOOD.sending(), "incomplete_chain", False, True),
    "no intermediate, but its address": (
        issue(issuer=make_certificate("X1", ROOT, is_ca=True), issuer_url="http://ca.preflight.test/x1.crt").sending(),
        "incomplete_chain",
        False,
        True,
    ),
    "the second of two intermediates": (
        issue(issuer=LOWER_CA).sending(LOWER_CA),
        "incomplete_chain",
        False,
        True,
    ),
    "unknown root behind an intermediate, related by name": (
        make_certificate(HOST, make_certificate("Preflight Issuing", RELATED_ROOT, is_ca=True), hosts=[HOST]),
        "untrusted_root",
        False,
        True,
    ),
    "expired intermediate": (issue(issuer=OLD_CA), "intermediate_expired", False, True),
    "name constraints": (issue(issuer=CONSTRAINED_CA), "name_constraints", False, True),
    "issued by a leaf": (issue(issuer=NO_CA), "invalid_ca", False, True),
    "issued by a CA that may not sign": (issue(issuer=NO_SIGNER), "invalid_ca", False, True),
    "too long a path": (
        issue(issuer=make_certificate("Preflight Below Short CA", SHORT_CA, is_ca=True)),
        "invalid_ca",
        False,
        True,
    ),
    "a client's certificate": (issue(purpose=ExtendedKeyUsageOID.CLIENT_AUTH), "bad_purpose", False, True),
    "a short key": (issue(key=make_rsa_key(1024)), "weak_key", False, True),
    "a short key above": (issue(issuer=WEAK_CA), "weak_key", False, True),
    "a SHA-1 signature": (make_sha1_certificate(HOST, INTERMEDIATE, [HOST]), "weak_signature", False, True),
}


@pytest.mark.parametrize("name", FAULTS)
def test_it_names_each_fault_of_a_certificate(name: str) -> None:
    identity, failure, trusted, hostname_ok = FAULTS[name]
    result = look_at(identity)
    seen = (result.data["failure"], result.data["trusted"], result.data["hostname_ok"])
    assert seen == (failure, trusted, hostname_ok)
    assert (result.status, result.reason) == (Status.FAIL, failure)
    assert any(finding.status is Status.FAIL and finding.fix for finding in result.findings)


def test_it_counts_days_down_to_negative_numbers() -> None:
    assert look_at(issue(**EXPIRED)).data["days_left"] == -3


@pytest.mark.parametrize("days", [1, 20])
def test_it_warns_of_an_expiry_that_comes_soon(days: int) -> None:
    result = look_at(issue(starts_in=timedelta(days=-70), ends_in=timedelta(days=days, hours=1)))
    assert (result.status, result.data["days_left"]) == (Status.WARN, days)
    assert "expires_soon" in result.data["warnings"]
    assert "renewal is late" in find(result, "expiry").summary


@pytest.mark.parametrize(("days", "mark"), [(0, 1), (1, 1), (2, 3), (7, 7), (8, 14), (21, 21)])
def test_it_names_the_mark_of_days_left_that_is_passed(days: int, mark: int) -> None:
    result = look_at(issue(starts_in=timedelta(days=-300), ends_in=timedelta(days=days, hours=1)))
    assert f"past the mark of {mark} days" in find(result, "expiry").detail


def test_it_takes_other_marks() -> None:
    identity = issue(starts_in=timedelta(days=-300), ends_in=timedelta(days=25, hours=1))
    assert look_at(identity).status is Status.PASS
    result = look_at(identity, expiry_days=(30, 10))
    assert (result.status, result.data["warnings"]) == (Status.WARN, ["expires_soon"])


@pytest.mark.parametrize(
    ("lived", "left", "status", "says"),
    [
        # Ninety days: due with thirty left, late when it was not done two days later.
        (timedelta(days=50), timedelta(days=40), Status.PASS, "its automatic renewal is due on"),
        (timedelta(days=61), timedelta(days=29), Status.PASS, "its automatic renewal is due on"),
        (timedelta(days=63), timedelta(days=27), Status.WARN, "Its automatic renewal is late: it was due on"),
        # Six days, which are renewed after four: the slack shrinks with them.
        (timedelta(days=3), timedelta(days=3), Status.WARN, "its automatic renewal is due on"),
        (timedelta(days=5), timedelta(days=1), Status.WARN, "Its automatic renewal is late"),
        # A year is renewed by hand.
        (timedelta(days=300), timedelta(days=65), Status.PASS, "valid for 65 days more."),
    ],
)
def test_it_says_when_an_automatic_renewal_is_due_or_late(
    lived: timedelta, left: timedelta, status: Status, says: str
) -> None:
    result = look_at(issue(starts_in=-lived, ends_in=left + timedelta(minutes=5)))
    finding = find(result, "expiry")
    assert (result.status, finding.status) == (status, status)
    assert says in f"{finding.summary} {finding.detail}"
    assert ("renewal" in finding.detail + finding.summary) is (lived + left <= timedelta(days=100))


def test_it_shows_no_certificate_where_what_is_sent_cannot_be_read() -> None:
    """One extension renamed to another that is there already: OpenSSL serves it, no reader may take it."""
    good = make_certificate(HOST, ROOT, hosts=[HOST])
    der = good.certificate.public_bytes(Encoding.DER)
    key_usage, names = (bytes.fromhex(oid) for oid in ("0603551d25", "0603551d11"))
    assert der.count(key_usage) == 1
    with serve_tls(
        make_web_handler(HSTS), good, lambda context: load_der(context, der.replace(key_usage, names), good)
    ) as server:
        target = make_target(f"https://{HOST}/", ca_pem=ROOT.pem, connect_to=(lead_to(server, port=443),))
        result = probe_now(TlsProbe(), target)
    assert (result.status, result.data["failure"], result.data["grade"]) == (Status.FAIL, "no_certificate", "F")
    assert (result.data["trusted"], result.data["hostname_ok"], result.data["days_left"]) == (False, False, None)


def load_der(context: ssl.SSLContext, der: bytes, identity: Identity) -> None:
    with tempfile.TemporaryDirectory() as folder:
        chain, key = Path(folder, "chain.pem"), Path(folder, "key.pem")
        chain.write_text(ssl.DER_cert_to_PEM_cert(der))
        key.write_text(identity.key_pem)
        context.load_cert_chain(chain, key)


def test_every_code_has_a_server_here() -> None:
    seen = {failure for _, failure, _, _ in FAULTS.values()}
    seen |= {"legacy_protocol", "no_certificate", "client_cert_required", "handshake_refused", "not_tls", "timeout"}
    assert seen | {"closed", "refused"} == set(FAILURES)


@pytest.mark.parametrize(
    ("hosts", "host", "covered"),
    [
        (["*.preflight.test"], "www.preflight.test", True),
        (["*.preflight.test"], "a.www.preflight.test", False),
        (["*.preflight.test"], "preflight.test", False),
        (["WWW.Preflight.TEST"], "www.preflight.test", True),
        (["127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.2"], "127.0.0.1", False),
        (["xn--bcher-kva.test"], "bücher.test", True),
        (["www.preflight.test"], "www.preflight.test.", True),
        (["www.preflight.test."], "www.preflight.test", False),
    ],
)
def test_it_compares_names_as_browsers_do(hosts: list[str], host: str, covered: bool) -> None:
    assert look_at(issue(hosts=hosts), host=host).data["hostname_ok"] is covered


def only(version: ssl.TLSVersion) -> Callable[[ssl.SSLContext], None]:
    def configure(context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
        context.minimum_version = version

    return configure


def test_it_fails_a_server_that_speaks_nothing_modern() -> None:
    result = look_at(GOOD, only(ssl.TLSVersion.TLSv1_1))
    assert (result.data["failure"], result.data["trusted"], result.data["grade"]) == ("legacy_protocol", True, "C")
    assert result.data["protocols"] == ["TLSv1.1"]


def test_it_warns_of_old_protocols_beside_new_ones() -> None:
    def configure(context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1

    result = look_at(GOOD, configure)
    assert result.data["protocols"] == ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
    assert (result.status, result.data["failure"], result.data["grade"]) == (Status.WARN, None, "B")
    assert result.data["warnings"] == ["legacy_protocol"]


def test_it_grades_a_server_without_tls_1_3_lower() -> None:
    assert look_at(GOOD, only(ssl.TLSVersion.TLSv1_2)).data["grade"] == "A-"


def test_it_grades_a_server_without_hsts_lower() -> None:
    assert look_at(GOOD, answer=Answer()).data["grade"] == "A-"


def test_it_takes_a_server_that_offers_only_rsa_key_exchange_and_warns() -> None:
    def configure(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AES128-SHA:@SECLEVEL=0")

    result = look_at(issue(key=make_rsa_key(2048)), configure)
    assert (result.data["failure"], result.data["trusted"]) == (None, True)
    assert (result.data["warnings"], result.data["grade"]) == (["weak_cipher"], "B")
    assert result.status is Status.WARN


@pytest.mark.parametrize("suites", ["NULL-SHA256:@SECLEVEL=0", "aNULL:@SECLEVEL=0"])
def test_it_counts_suites_without_encryption_or_identity_as_a_refusal(suites: str) -> None:
    def configure(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(suites)

    result = look_at(issue(key=make_rsa_key(2048)), configure)
    assert (result.data["failure"], result.data["trusted"], result.data["hostname_ok"]) == (
        "handshake_refused",
        False,
        False,
    )
    assert result.data["days_left"] is None and result.data["fingerprint_sha256"] is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_it_reports_trust_and_days_of_a_server_that_wants_a_client_certificate(version: ssl.TLSVersion) -> None:
    def configure(context: ssl.SSLContext) -> None:
        only(version)(context)
        context.load_verify_locations(cadata=ROOT.pem)
        context.verify_mode = ssl.CERT_REQUIRED

    result = look_at(GOOD, configure)
    assert (result.data["failure"], result.data["trusted"]) == ("client_cert_required", True)
    assert (result.data["days_left"], result.data["chain_len"]) == (89, 2)


def test_it_does_not_mistake_an_optional_client_certificate_for_a_refusal() -> None:
    def configure(context: ssl.SSLContext) -> None:
        context.load_verify_locations(cadata=ROOT.pem)
        context.verify_mode = ssl.CERT_OPTIONAL

    assert look_at(GOOD, configure).data["failure"] is None


def test_it_warns_of_a_long_lifetime_a_root_and_a_wrong_order() -> None:
    long_lived = issue(starts_in=timedelta(days=-400))
    assert "lifetime_over_398" in look_at(long_lived).data["warnings"]
    with_root = look_at(GOOD.sending(INTERMEDIATE, ROOT))
    assert (with_root.data["warnings"], with_root.data["failure"]) == (["root_in_chain"], None)
    second = make_certificate("Preflight Second Intermediate", INTERMEDIATE, is_ca=True)
    swapped = issue(issuer=second).sending(INTERMEDIATE, second)
    assert look_at(swapped).data["warnings"] == ["wrong_order"]


def test_it_does_not_hold_against_a_site_what_only_its_old_clients_need() -> None:
    """A cross-signed root: new clients stop at the root they know, old ones go on to a weak one."""
    weak = make_certificate("Preflight Old Root", is_ca=True, key=make_rsa_key(1024))
    cross = make_certificate("Preflight Test Root", weak, is_ca=True, key=ROOT.key)
    result = look_at(GOOD.sending(INTERMEDIATE, cross, weak))
    assert (result.data["trusted"], result.data["failure"]) == (True, None)


def test_it_takes_a_self_signed_certificate_that_is_itself_the_given_root() -> None:
    own = make_certificate(HOST, hosts=[HOST], is_ca=True)
    with serve_https_site(HSTS, own) as server:
        target = make_target(f"https://{HOST}/", ca_pem=own.pem, connect_to=(lead_to(server),))
        assert probe_now(TlsProbe(), target).data["failure"] is None


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()])
def test_it_knows_other_curves(curve: ec.EllipticCurve) -> None:
    result = look_at(issue(key=make_ec_key(curve)))
    assert result.data["key"] == {"type": "EC", "bits": curve.key_size}


def test_it_fails_a_plain_http_site_as_not_tls_on_its_own_port() -> None:
    with serve_site(Answer()) as server:
        result = probe_now(TlsProbe(), make_target(server.url))
        assert (result.status, result.reason, result.data["failure"]) == (Status.FAIL, "not_tls", "not_tls")
        assert (result.data["trusted"], result.data["hostname_ok"], result.data["grade"]) == (False, False, "F")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_it_sees_plain_http_behind_a_server_that_hangs_up_on_a_handshake(scheme: str) -> None:
    def hang_up_unless_http(sock: Any) -> None:
        if not sock.recv(1, 2).startswith(b"\x16"):  # 2: MSG_PEEK
            make_handler(sock)

    make_handler = make_web_handler(Answer())
    with serve(hang_up_unless_http) as server:
        result = probe_now(TlsProbe(), make_target(f"{scheme}://127.0.0.1:{server.port}/"))
        assert result.data["failure"] == "not_tls"


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    with serve(hostile.hang_up) as server:
        address = server.address
    yield address


def test_it_cannot_tell_when_nobody_listens() -> None:
    with nobody() as address:
        result = probe_now(TlsProbe(), make_target(f"https://{address}/"))
    assert (result.status, result.reason, result.data["failure"]) == (Status.ERROR, ErrorReason.REFUSED, "refused")
    assert result.data["grade"] is None


@pytest.mark.parametrize(
    ("handler", "failure", "status"),
    [
        (hostile.stay_silent, "timeout", Status.ERROR),
        (hostile.drip_handshake, "timeout", Status.ERROR),
        (hostile.hang_up, "closed", Status.FAIL),
        (hostile.reset_at_once, "closed", Status.FAIL),
        (hostile.send_garbage, "not_tls", Status.FAIL),
    ],
)
def test_it_names_what_hostile_servers_do_within_the_deadline(handler: Any, failure: str, status: Status) -> None:
    seconds = 0.6 if failure == "timeout" else 10.0
    with serve(handler) as server:
        result = probe_now(TlsProbe(), make_target(f"https://{server.address}/", timeout_seconds=seconds))
    assert (result.data["failure"], result.status, result.reason) == (failure, status, failure)
    assert result.duration_ms < 20_000  # the server would go on for 30 s


def test_it_reports_what_it_learned_before_the_time_was_up() -> None:
    def answer_first_only(sock: socket.socket) -> None:
        hostile.stay_silent(sock)

    with serve_tls(answer_first_only, GOOD) as server:
        target = make_target(f"https://{HOST}/", ca_pem=ROOT.pem, connect_to=(lead_to(server),), timeout_seconds=2.0)
        result = probe_now(TlsProbe(), target)
    assert (result.data["trusted"], result.data["failure"]) == (True, None)


def test_it_leaves_an_unfinished_enumeration_null() -> None:
    connections: list[int] = []

    def configure(context: ssl.SSLContext) -> None:
        def stall(sock: ssl.SSLObject, name: str, inner: ssl.SSLContext) -> None:
            connections.append(1)
            if len(connections) > 1:
                time.sleep(6)

        context.sni_callback = stall

    result = look_at(GOOD, configure, timeout_seconds=2.0)
    assert (result.data["trusted"], result.data["protocols"]) == (True, None)
    assert find(result, "protocols").status is Status.SKIPPED


def test_it_lets_the_worst_endpoint_decide_and_reports_all() -> None:
    bad = make_certificate(HOST, hosts=[HOST])
    with serve_https_site(HSTS, GOOD) as good_server, serve_https_site(HSTS, bad) as bad_server:
        target = make_target(
            TargetEndpoint("frontend", "https://www.preflight.test/"),
            TargetEndpoint("api", "https://www.preflight.test:8443/"),
            ca_pem=ROOT.pem,
            connect_to=(lead_to(good_server, port=443), lead_to(bad_server, port=8443)),
        )
        result = probe_now(TlsProbe(), target)
    assert (result.status, result.reason, result.data["failure"]) == (Status.FAIL, "self_signed", "self_signed")
    summaries = " ".join(finding.summary for finding in result.findings)
    assert ":443" in summaries and ":8443" in summaries


def serve_postgres_tls(identity: Identity, answer: bytes) -> Any:
    context = make_server_context(identity)

    def handle(sock: Any) -> None:
        assert sock.recv(8) == bytes.fromhex("0000000804d2162f")
        sock.sendall(answer)
        if answer == b"S":
            with context.wrap_socket(sock, server_side=True) as wrapped:
                wrapped.recv(1)

    return serve(handle)


def test_it_asks_a_database_for_its_own_certificate() -> None:
    with serve_postgres_tls(GOOD, b"S") as server:
        probe = TlsProbe()
        options = TargetOptions(ca_pem=ROOT.pem, address_policy=LOCAL, connect_to=(lead_to(server),))
        target = probe.parse_target(f"postgres://app:hunter2@{HOST}:5432/app", options)
        result = probe_now(probe, target)
    assert (result.data["trusted"], result.data["hostname_ok"], result.data["failure"]) == (True, True, None)
    assert "hunter2" not in str(result.as_json_object()) + repr(target)


def test_it_fails_a_database_that_offers_no_tls() -> None:
    with serve_postgres_tls(GOOD, b"N") as server:
        target = TlsProbe().parse_target(f"postgres://{server.address}", TargetOptions(address_policy=LOCAL))
        assert probe_now(TlsProbe(), target).data["failure"] == "not_tls"
