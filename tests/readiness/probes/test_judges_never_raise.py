"""Whatever bytes a target sends, a judge gives a verdict."""

from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from readiness.probes.base import ErrorReason, FailReason, Status, Target, TargetEndpoint, TargetError, mask_secrets
from readiness.probes.certificates import parse_certificate
from readiness.probes.dsn import find_engine, parse_dsn
from readiness.probes.headers import EndpointScan, judge_scan
from readiness.probes.http import EndpointObservation, HttpProbe, RequestFailure
from readiness.probes.http_client import Latency, Response
from readiness.probes.observatory.cookies import CookieJar
from readiness.probes.observatory.fetch import SiteObservation
from readiness.probes.observatory.site import Chain, Site
from readiness.probes.observatory.urls import resolve_url
from readiness.probes.tls import TlsProbe
from readiness.probes.tls_observation import Handshake, TlsObservation
from tests.servers.certificates import make_certificate, make_root

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ENDPOINT = TargetEndpoint("frontend", "https://www.preflight.test/")
TARGET = Target("x", (ENDPOINT,))
LATENCY = Latency(1.0, 1.0, 1.0, 1.0)
IDENTITY = make_certificate("www.preflight.test", make_root(), hosts=["www.preflight.test"])

latin = st.text(st.characters(max_codepoint=255), max_size=80)
# Texts near what the rules look for find more than noise does.
policy_word = st.sampled_from(
    ["default-src", "script-src", "'none'", "'nonce-a'", "'strict-dynamic'", "http:", "*", ";", ",", "report-uri", " "]
)
header_value = st.one_of(latin, st.lists(policy_word, max_size=12).map(" ".join))
header_name = st.sampled_from(
    (
        *("Content-Security-Policy", "Set-Cookie", "Strict-Transport-Security", "Referrer-Policy", "X-Frame-Options"),
        *("Content-Type", "Location", "Cross-Origin-Resource-Policy", "X-Content-Type-Options", "Server"),
    )
)
markup = st.sampled_from(
    b"<script|src=|<base href=|<meta http-equiv=content-security-policy content=|<svg>|<!--|</|>|<template>|//|https://|"
    b'<![CDATA[|"|<plaintext>|&#0;|[|<script/|<!|<?|'.split(b"|")
)
body = st.one_of(st.binary(max_size=200), st.lists(st.one_of(markup, st.binary(max_size=5)), max_size=20).map(b"".join))
response = st.builds(
    Response,
    url=st.sampled_from(["https://www.preflight.test/", "http://www.preflight.test/", "https://other.test/a?b"]),
    status=st.sampled_from([200, 301, 401, 404, 500]),
    headers=st.lists(st.tuples(header_name, header_value), max_size=8).map(tuple),
    body=body,
    body_truncated=st.booleans(),
    latency=st.just(LATENCY),
    verified=st.booleans(),
)


def make_chain(answers: list[Response], verified: bool) -> Chain:
    jar = CookieJar()
    for answer in answers:
        jar.take(answer.url, answer.header_values("Set-Cookie"))
    return Chain(tuple(answers), verified, jar)


chain = st.builds(make_chain, st.lists(response, min_size=1, max_size=3), st.booleans())
site = st.builds(
    Site,
    host=st.just("www.preflight.test"),
    http=st.none() | chain,
    https=st.none() | chain,
    options=st.none() | response,
)
patient = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@patient
@given(site)
def test_it_judges_any_headers_and_any_page(seen: Site) -> None:
    judged = judge_scan(EndpointScan(ENDPOINT, SiteObservation(seen)), TARGET)
    assert judged.findings


@patient
@given(st.lists(st.one_of(st.binary(max_size=300), st.just(b"")), max_size=3), st.integers(0, 100), latin)
def test_it_judges_any_certificate_bytes(certificates: list[bytes], code: int, hsts: str) -> None:
    handshake = Handshake(tuple(certificates), "TLSv1.3", "TLS_AES_256_GCM_SHA384", 256, code, hsts=hsts)
    result = TlsProbe().judge(TARGET, (TlsObservation(ENDPOINT, "www.preflight.test", 443, handshake),), NOW)
    assert result.data["trusted"] is False


@patient
@given(st.data(), st.integers(0, 100))
def test_it_judges_a_certificate_with_any_byte_changed(data: st.DataObject, code: int) -> None:
    der = bytearray(IDENTITY.certificate.public_bytes(Encoding.DER))
    der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    parse_certificate(bytes(der))
    handshake = Handshake((bytes(der),), "TLSv1.2", "AES128-SHA", 128, code)
    result = TlsProbe().judge(TARGET, (TlsObservation(ENDPOINT, "www.preflight.test", 443, handshake),), NOW)
    assert result.findings


@patient
@given(st.lists(response, max_size=3), st.lists(response, max_size=1))
def test_it_judges_any_answers(answers: list[Response], plain: list[Response]) -> None:
    failure = None if answers else RequestFailure(FailReason.CLOSED, "Closed.")
    plain_failure = None if plain else RequestFailure(ErrorReason.REFUSED, "Refused.")
    seen = EndpointObservation(
        ENDPOINT, ENDPOINT.url, tuple(answers), failure, tuple(plain), plain_failure, "http://www.preflight.test/"
    )
    assert HttpProbe().judge(TARGET, (seen,), NOW).status in set(Status)


@patient
@given(st.text(max_size=80))
def test_it_reads_any_text_as_a_dsn_or_refuses_it(text: str) -> None:
    mask_secrets(text)
    find_engine(text)
    try:
        parse_dsn(text)
    except TargetError as error:
        assert str(error)


@patient
@given(latin)
def test_it_resolves_any_reference_or_refuses_it(reference: str) -> None:
    try:
        assert isinstance(resolve_url("https://www.preflight.test/a", reference), str)
    except ValueError:
        return
