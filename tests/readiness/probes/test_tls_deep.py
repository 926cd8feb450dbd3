"""`probe tls --deep`: what sslyze adds to our verdict. The scans run wherever sslyze is installed (make sslyze)."""

import json
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from readiness.probes import tls_deep
from readiness.probes.base import ProbeResult, Status, Target, TargetEndpoint, TargetOptions
from readiness.probes.tls import TlsProbe
from readiness.probes.tls_deep_findings import grade_deeply
from readiness.probes.tls_deep_report import DeepProblem, DeepReport, read_report
from readiness.probes.tls_observation import Handshake, TlsObservation
from tests.readiness.probes.test_probe_command import run
from tests.servers import hostile
from tests.servers.certificates import Identity, make_certificate, make_root, make_rsa_key
from tests.servers.probing import LOCAL, find, lead_to, make_target, probe_now
from tests.servers.sockets import serve
from tests.servers.web import Answer, serve_https_site

needs_sslyze = pytest.mark.skipif(tls_deep.find_sslyze() is None, reason="sslyze is not installed: make sslyze")
pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
HOST = "www.preflight.test"
ROOT = make_root()
GOOD = make_certificate(HOST, ROOT, hosts=[HOST], key=make_rsa_key(2048))
HSTS = Answer(headers=[("Strict-Transport-Security", "max-age=31536000")])


def look_deeply_at(
    identity: Identity = GOOD, configure: Callable[[ssl.SSLContext], None] | None = None, **options: Any
) -> ProbeResult:
    with serve_https_site(HSTS, identity, configure) as server:
        target = make_target(
            f"https://{HOST}/",
            ca_pem=ROOT.pem,
            connect_to=(lead_to(server, port=443),),
            is_deep=True,
            **{"timeout_seconds": 60.0, **options},
        )
        return probe_now(TlsProbe(), target)


@needs_sslyze
def test_it_agrees_with_sslyze_about_a_good_server() -> None:
    result = look_deeply_at(configure=lambda context: context.set_ciphers("ECDHE+AESGCM"))
    assert (result.status, result.reason, result.data["grade"]) == (Status.PASS, None, "A+")
    assert "agrees" in find(result, "deep_agreement").summary
    deep = result.data["deep"]
    assert (deep["protocols"], deep["accepted"], deep["agrees"]) == (["TLSv1.2", "TLSv1.3"], True, True)
    assert (deep["weak_suites"], deep["vulnerabilities"], deep["problem"]) == ([], [], None)
    assert deep["scanner"].startswith("sslyze ")
    assert find(result, "deep_vulnerabilities").status is Status.PASS


@needs_sslyze
def test_it_finds_weak_suites_behind_a_good_one_that_the_handshake_agrees_on() -> None:
    def configure(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE+AESGCM:NULL-SHA256:AECDH-AES128-SHA:@SECLEVEL=0")

    result = look_deeply_at(configure=configure)
    assert (result.status, result.reason, result.data["grade"]) == (Status.FAIL, "weak_cipher", "F")
    assert result.data["failure"] is None  # what every client agrees on is good
    finding = find(result, "deep_suites")
    assert finding.status is Status.FAIL
    assert {"TLS_RSA_WITH_NULL_SHA256", "TLS_ECDH_anon_WITH_AES_128_CBC_SHA"} <= set(result.data["deep"]["weak_suites"])


@needs_sslyze
@pytest.mark.parametrize(
    "identity",
    [
        make_certificate(HOST, hosts=[HOST], key=make_rsa_key(2048)),
        make_certificate(HOST, make_root("Somebody's Root"), hosts=[HOST], key=make_rsa_key(2048)),
        make_certificate(HOST, ROOT, hosts=["other.test"], key=make_rsa_key(2048)),
    ],
    ids=["self-signed", "unknown root", "wrong name"],
)
def test_it_agrees_with_sslyze_about_what_is_not_trusted(identity: Identity) -> None:
    result = look_deeply_at(identity)
    assert result.status is Status.FAIL
    assert (result.data["deep"]["accepted"], result.data["deep"]["agrees"]) == (False, True)


@needs_sslyze
def test_it_runs_from_the_command_line_for_a_name_that_leads_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_text(ROOT.pem)
    with serve_https_site(HSTS, GOOD) as server:
        code, lines, output = run(
            *("tls", HOST, "--deep", "--json", "--ca-file", str(tmp_path / "root.pem")),
            *("--connect-to", f"{HOST}:443:127.0.0.1:{server.port}"),
        )
    assert code == 0, output
    data: Any = lines[0]["data"]
    assert data["deep"]["agrees"] is True


@needs_sslyze
def test_it_ends_sslyze_at_the_deadline_and_keeps_its_own_verdict() -> None:
    def slow_down(context: ssl.SSLContext) -> None:
        calls: list[int] = []

        def stall(sock: ssl.SSLObject, name: str, inner: ssl.SSLContext) -> None:
            calls.append(1)
            if len(calls) > 4:  # our own handshakes come first
                time.sleep(20)

        context.sni_callback = stall

    started = time.monotonic()
    result = look_deeply_at(configure=slow_down, timeout_seconds=4.0)
    assert time.monotonic() - started < 6
    assert (result.data["trusted"], result.data["deep"]["problem"]) == (True, "timeout")
    assert find(result, "deep").status is Status.SKIPPED


def test_it_says_in_one_sentence_that_sslyze_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_deep, "find_sslyze", lambda: None)
    result = look_deeply_at()
    finding = find(result, "deep")
    assert (result.status, finding.status) == (Status.PASS, Status.SKIPPED)
    assert finding.summary == "sslyze is not installed, so cipher suites and known vulnerabilities were not tried."
    assert "make sslyze" in finding.fix
    assert result.data["deep"]["problem"] == "missing"


def test_it_does_not_start_sslyze_where_there_was_no_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_deep, "find_sslyze", lambda: pytest.fail("looked for sslyze"))
    with serve(hostile.hang_up) as server:
        result = probe_now(TlsProbe(), make_target(f"https://{server.address}/", is_deep=True))
    assert (result.reason, "deep" in result.data) == ("closed", False)


@pytest.mark.parametrize("script", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho nonsense > ${2#--json_out=}\n"])
def test_it_says_that_sslyze_broke_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str) -> None:
    program = tmp_path / "sslyze"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setattr(tls_deep, "find_sslyze", lambda: str(program))
    assert look_deeply_at().data["deep"]["problem"] == "broken"


def test_it_hands_sslyze_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "sslyze"
    program.write_text(f"#!/bin/sh\nenv > {tmp_path}/seen\necho $* >> {tmp_path}/seen\n")
    program.chmod(0o755)
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    monkeypatch.setattr(tls_deep, "find_sslyze", lambda: str(program))
    options = TargetOptions(address_policy=LOCAL, is_deep=True)
    with serve_https_site(HSTS, GOOD) as server:
        probe_now(TlsProbe(), TlsProbe().parse_target(server.url, options))
    seen = (tmp_path / "seen").read_text()
    assert "hunter2" not in seen
    assert f"127.0.0.1:{server.port}{{127.0.0.1}}" in seen


def test_deep_goes_with_tls_only() -> None:
    code, _, output = run("http", "example.org", "--deep")
    assert (code, "Traceback" in output) == (2, False)
    assert "--deep goes with tls only" in output


@pytest.mark.parametrize(
    ("grade", "report", "left"),
    [
        ("A+", DeepReport(), "A+"),
        ("A+", DeepReport(vulnerabilities=("heartbleed",)), "F"),
        ("A", DeepReport(weak=("TLS_RSA_WITH_RC4_128_SHA",)), "C"),
        ("A", DeepReport(suites={"SSLv3": ("x",)}), "B"),
        ("B", DeepReport(suites={"SSLv2": ("x",)}), "F"),
        ("F", DeepReport(weak=("x",)), "F"),
        ("T", DeepReport(vulnerabilities=("robot",)), "T"),
        (None, DeepReport(very_weak=("x",)), None),
    ],
)
def test_it_lowers_the_letter_as_public_graders_do(grade: str | None, report: DeepReport, left: str | None) -> None:
    assert grade_deeply(grade, report) == left


def make_document(**scans: Any) -> dict[str, Any]:
    done = {name: {"status": "COMPLETED", "result": result} for name, result in scans.items()}
    return {"sslyze_version": "9", "server_scan_results": [{"connectivity_status": "COMPLETED", "scan_result": done}]}


def test_it_reads_every_vulnerability() -> None:
    document = make_document(
        heartbleed={"is_vulnerable_to_heartbleed": True},
        openssl_ccs_injection={"is_vulnerable_to_ccs_injection": True},
        robot={"robot_result": "VULNERABLE_STRONG_ORACLE"},
        tls_compression={"supports_compression": True},
        session_renegotiation={
            "supports_secure_renegotiation": False,
            "is_vulnerable_to_client_renegotiation_dos": True,
        },
    )
    report = read_report(json.dumps(document))
    assert report.vulnerabilities == (
        *("heartbleed", "openssl_ccs_injection", "robot", "compression"),
        *("insecure_renegotiation", "client_renegotiation"),
    )
    result = judge(report)
    assert (result.status, result.reason) == (Status.FAIL, "heartbleed")
    assert all(find(result, f"deep_{code}").fix for code in report.vulnerabilities)


def test_it_warns_of_suites_that_are_weak_and_of_scans_that_failed() -> None:
    suite = {"name": "TLS_RSA_WITH_3DES_EDE_CBC_SHA", "key_size": 168, "is_anonymous": False}
    document = make_document(tls_1_2_cipher_suites={"accepted_cipher_suites": [{"cipher_suite": suite}]})
    document["server_scan_results"][0]["scan_result"]["robot"] = {"status": "ERROR", "result": None}
    report = read_report(json.dumps(document))
    assert (report.weak, report.very_weak, report.unread) == ((suite["name"],), (), ("robot",))
    assert find(judge(report), "deep_suites").status is Status.WARN
    assert find(judge(report), "deep").status is Status.SKIPPED


def judge(report: DeepReport) -> ProbeResult:
    endpoint = TargetEndpoint("frontend", f"https://{HOST}/")
    chain = (GOOD.certificate.public_bytes(Encoding.DER),)
    handshake = Handshake(chain, "TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", 128, 0)
    seen = TlsObservation(endpoint, HOST, 443, handshake, protocols=("TLSv1.2",), deep=report)
    return TlsProbe().judge(Target("x", (endpoint,), is_deep=True), (seen,), datetime.now(UTC))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["COMPLETED", "ERROR"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                (
                    *("status", "result", "server_scan_results", "connectivity_status", "scan_result", "robot"),
                    *("tls_1_2_cipher_suites", "accepted_cipher_suites", "cipher_suite", "name", "key_size"),
                    *("certificate_info", "certificate_deployments", "path_validation_results", "trust_store"),
                )
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_values | json_values.map(lambda scan: {"server_scan_results": [scan]}))
def test_it_reads_or_refuses_whatever_sslyze_may_write(document: Any) -> None:
    try:
        report = read_report(json.dumps(document))
    except ValueError:
        return
    assert judge(report).findings


@pytest.mark.parametrize("problem", list(DeepProblem))
def test_it_has_a_sentence_for_every_problem(problem: DeepProblem) -> None:
    finding = find(judge(DeepReport(problem=problem)), "deep")
    assert (finding.status, bool(finding.fix)) == (Status.SKIPPED, True)
