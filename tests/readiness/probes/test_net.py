"""The only door out: what it resolves, refuses, waits for and cuts off."""

import socket
import time
import zlib

import pytest

from readiness.probes import net, net_tls
from readiness.probes.addresses import AddressPolicy
from readiness.probes.base import ConnectTo, ErrorReason, FailReason
from readiness.probes.http_client import MAX_BODY_BYTES, follow_redirects, send_request
from tests.servers import hostile
from tests.servers.certificates import make_certificate, make_root
from tests.servers.probing import LOCAL, lead_to
from tests.servers.sockets import Handler, serve
from tests.servers.web import Answer, Request, serve_https_site, serve_site


def make_door(
    seconds: float = 20.0, policy: AddressPolicy = LOCAL, connect_to: tuple[ConnectTo, ...] = (), ca_pem: str = ""
) -> net.Door:
    return net.Door(net.Deadline(seconds), policy, connect_to, ca_pem)


def fail_to_fetch(url: str, door: net.Door) -> net.NetError:
    with pytest.raises(net.NetError) as caught:
        follow_redirects(url, door)
    return caught.value


def test_it_refuses_an_address_that_the_policy_does_not_allow() -> None:
    with serve_site(Answer()) as server:
        error = fail_to_fetch(server.url, make_door(policy=AddressPolicy()))
        assert error.reason is ErrorReason.ADDRESS_NOT_ALLOWED
        assert server.connections == []


def test_it_refuses_a_name_that_leads_to_a_forbidden_address() -> None:
    error = fail_to_fetch("http://localhost:9/", make_door(policy=AddressPolicy()))
    assert error.reason is ErrorReason.ADDRESS_NOT_ALLOWED
    assert "localhost leads to" in str(error)


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"])
def test_it_refuses_a_redirect_to_cloud_metadata(host: str) -> None:
    with serve_site(Answer(302, [("Location", f"http://{host}/latest/meta-data/")])) as server:
        assert fail_to_fetch(server.url, make_door()).reason is ErrorReason.ADDRESS_NOT_ALLOWED


def test_it_connects_where_the_operator_says_whatever_the_policy_says() -> None:
    with serve_site(Answer()) as server:
        door = make_door(policy=AddressPolicy(), connect_to=(lead_to(server, "www.preflight.test", 80),))
        assert send_request("http://www.preflight.test/", door).status == 200


def test_it_keeps_the_name_for_sni_host_and_verification_when_led_elsewhere() -> None:
    root = make_root()
    seen: list[Request] = []
    identity = make_certificate("www.preflight.test", root, hosts=["www.preflight.test"])
    with serve_https_site(Answer(), identity, seen=seen) as server:
        door = make_door(connect_to=(lead_to(server, port=443),), ca_pem=root.pem)
        assert send_request("https://www.preflight.test/", door).status == 200
        assert seen[0].headers["host"] == "www.preflight.test"
        with pytest.raises(net_tls.CertificateError):
            send_request("https://other.preflight.test/", door)


def test_it_tells_a_name_that_does_not_exist() -> None:
    assert fail_to_fetch("http://nowhere.invalid/", make_door()).reason in (
        ErrorReason.HOST_NOT_FOUND,
        ErrorReason.RESOLVER_FAILED,
    )


def test_it_tells_a_failing_resolver_from_a_missing_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_with(code: int) -> None:
        def resolve(*args: object, **kwargs: object) -> list[object]:
            raise socket.gaierror(code, "said the resolver")

        monkeypatch.setattr(socket, "getaddrinfo", resolve)

    fail_with(socket.EAI_AGAIN)
    assert fail_to_fetch("http://www.preflight.test/", make_door()).reason is ErrorReason.RESOLVER_FAILED
    fail_with(socket.EAI_NONAME)
    assert fail_to_fetch("http://www.preflight.test/", make_door()).reason is ErrorReason.HOST_NOT_FOUND


def test_it_does_not_wait_longer_for_a_resolver_than_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: time.sleep(20))
    started = time.monotonic()
    assert fail_to_fetch("http://www.preflight.test/", make_door(0.2)).reason is ErrorReason.TIMEOUT
    assert time.monotonic() - started < 10


def test_it_tries_the_next_address_when_the_first_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_site(Answer()) as server:
        entries = [(0, 0, 0, "", (address, 0)) for address in ("127.0.0.9", "127.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: entries)
        assert send_request(f"http://www.preflight.test:{server.port}/", make_door()).status == 200


@pytest.mark.parametrize("handler", [hostile.stay_silent, hostile.drip_headers, hostile.drip_body])
def test_it_ends_slow_answers_at_the_total_deadline(handler: Handler) -> None:
    with serve(handler) as server:
        started = time.monotonic()
        assert fail_to_fetch(server.url, make_door(0.5)).reason is ErrorReason.TIMEOUT
        assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (hostile.send_many_headers, FailReason.TOO_LARGE),
        (hostile.send_long_header, FailReason.TOO_LARGE),
        (hostile.send_garbage, FailReason.BAD_RESPONSE),
        (hostile.reset_at_once, FailReason.CLOSED),
        (hostile.hang_up, FailReason.CLOSED),
        (hostile.redirect_to_itself, FailReason.TOO_MANY_REDIRECTS),
    ],
)
def test_it_names_what_hostile_servers_do(handler: Handler, reason: FailReason) -> None:
    with serve(handler) as server:
        assert fail_to_fetch(server.url, make_door()).reason is reason


@pytest.mark.parametrize("handler", [hostile.send_gzip_bomb, hostile.send_endless_body])
def test_it_cuts_a_body_without_end_after_decompression(handler: Handler) -> None:
    with serve(handler) as server:
        answer = send_request(server.url, make_door())
        assert len(answer.body) == MAX_BODY_BYTES
        assert answer.body_truncated


@pytest.mark.parametrize("window_bits", [zlib.MAX_WBITS, -zlib.MAX_WBITS])
def test_it_unpacks_deflate_with_and_without_its_frame(window_bits: int) -> None:
    packer = zlib.compressobj(wbits=window_bits)
    body = packer.compress(b"hello " * 50) + packer.flush()
    with serve_site(Answer(headers=[("Content-Encoding", "deflate")], body=body)) as server:
        assert send_request(server.url, make_door()).body == b"hello " * 50


def test_it_reads_header_values_as_sent_in_latin_1() -> None:
    with serve_site(Answer(headers=[("X-A", "  caf\u00e9  "), ("X-B", "1"), ("X-B", "2")])) as server:
        answer = send_request(server.url, make_door())
        assert answer.header("x-a") == "cafÃ©"
        assert answer.header_values("X-B") == ["1", "2"]


def test_it_sends_a_path_with_blanks_and_letters_escaped() -> None:
    seen: list[Request] = []
    with serve_site(Answer(), seen) as server:
        send_request(f"{server.url}a b/ü?q=ä%20&x=\r\nHost: evil", make_door())
    assert seen[0].path == "/a%20b/%C3%BC?q=%C3%A4%20&x=Host:%20evil"
    assert seen[0].headers["host"] == server.address


def test_it_refuses_a_redirect_to_another_scheme_by_not_following_it() -> None:
    with serve_site(Answer(302, [("Location", "file:///etc/passwd")])) as server:
        assert fail_to_fetch(server.url, make_door()).reason is FailReason.BAD_REDIRECT


def test_it_says_that_a_ca_bundle_cannot_be_read() -> None:
    with pytest.raises(net.NetError) as caught:
        net_tls.tls_context("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    assert caught.value.reason is ErrorReason.BAD_CA


def test_it_keeps_the_system_roots_beside_a_private_one() -> None:
    system = net_tls.tls_context("").cert_store_stats()["x509_ca"]
    assert net_tls.tls_context(make_root().pem).cert_store_stats()["x509_ca"] == system + 1


def test_it_keeps_one_context_for_each_ca() -> None:
    root = make_root()
    assert net_tls.tls_context(root.pem) is net_tls.tls_context(root.pem)


def test_it_ends_a_wait_of_another_library_at_the_deadline() -> None:
    with serve(hostile.stay_silent) as server, socket.create_connection(("127.0.0.1", server.port)) as sock:
        started = time.monotonic()
        with net.cut_off_at(net.Deadline(0.2), sock.fileno()):
            assert sock.recv(1) == b""
        assert time.monotonic() - started < 10
