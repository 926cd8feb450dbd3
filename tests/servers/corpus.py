"""Serves a corpus of header cases (tests/data/headers/cases.json): by Host and SNI, on one plain and one TLS port.

A case names its answer (status, headers, body) and may change what its http, https, OPTIONS or other paths and hosts
say. In header values {https} and {http} become origins of the case, {https:host} of another host, {origin} the
request's Origin.
"""

import contextlib
import gzip
import json
import re
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.servers.certificates import make_certificate, make_root
from tests.servers.sockets import LocalServer, make_server_context, serve
from tests.servers.web import Request, read_request

Spec = Mapping[str, Any]
_ANSWER_KEYS = ("status", "headers", "body", "no_ct", "gzip", "chunked", "delay")
_NOT_FOUND: Spec = {"status": 404, "headers": [["Content-Type", "text/plain"]], "body": "not found\n"}
_ORIGIN = re.compile(r"\{(https?)(?::([^}]+))?\}")


@dataclass(frozen=True)
class Corpus:
    """A corpus that is being served, with what a client must know to reach and trust it."""

    cases: list[Spec]
    plain: LocalServer
    secure: LocalServer
    ca_pem: str


def load_sites(path: Path) -> tuple[list[Spec], dict[str, Spec]]:
    """Return the cases of the corpus, and every host of it with what it answers."""
    cases: list[Spec] = json.loads(path.read_text(encoding="utf-8"))["cases"]
    sites = {case["host"].lower(): case for case in cases}
    sites |= {host.lower(): spec for case in cases for host, spec in case.get("others", {}).items()}
    return cases, sites


@contextlib.contextmanager
def serve_corpus(path: Path) -> Iterator[Corpus]:
    """Serve the corpus in `path` until the block ends."""
    cases, sites = load_sites(path)
    root = make_root()
    contexts = _make_contexts(root, sorted(sites))

    def pick_context(sock: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
        site = sites.get((name or "").lower(), {})
        mode = site.get("tls", "valid")
        if mode == "none" or site.get("https") == "none":
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        sock.context = contexts[mode]
        return None

    front = make_server_context(make_certificate("front", root, hosts=["localhost"]))
    front.sni_callback = pick_context

    def answer_securely(raw: socket.socket) -> None:
        raw.settimeout(10)
        with front.wrap_socket(raw, server_side=True) as wrapped:
            _answer(wrapped, "https", sites)

    with serve(lambda raw: _answer(raw, "http", sites)) as plain, serve(answer_securely, "https") as secure:
        yield Corpus(cases, plain, secure, root.pem)


def _make_contexts(root: Any, hosts: list[str]) -> dict[str, ssl.SSLContext]:
    past = {"starts_in": timedelta(days=-90), "ends_in": timedelta(days=-1)}
    identities = {
        "valid": make_certificate("valid", root, hosts=hosts),
        "expired": make_certificate("expired", root, hosts=hosts, starts_in=past["starts_in"], ends_in=past["ends_in"]),
        "wronghost": make_certificate("wronghost", root, hosts=["wrong.invalid"]),
        "selfsigned": make_certificate("selfsigned", hosts=hosts),
    }
    return {mode: make_server_context(identity) for mode, identity in identities.items()}


def _answer(sock: socket.socket, scheme: str, sites: Mapping[str, Spec]) -> None:
    request = read_request(sock)
    if request is None:
        return
    host = request.headers.get("host", "").partition(":")[0].lower()
    site = sites.get(host)
    spec = {"status": 421} if site is None else _choose(site, scheme, request)
    if spec is None:  # "none": the connection is reset
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return
    sock.sendall(_compose(spec, host, request))
    with contextlib.suppress(OSError, ValueError):
        if isinstance(sock, ssl.SSLSocket):
            sock.unwrap()


def _choose(site: Spec, scheme: str, request: Request) -> Spec | None:
    path = request.path.partition("?")[0]
    secure = site.get("https", {key: site[key] for key in _ANSWER_KEYS if key in site})
    if scheme == "http":
        plain = site.get("http", "redirect")
        if plain == "none":
            return None
        if plain == "redirect":
            return {"status": 301, "headers": [["Location", f"{{https}}{request.path}"]]}
        if plain != "same":
            chosen: Spec = site.get("http_paths", {}).get(path, plain)
            return chosen
    if secure == "none":
        return None
    if request.method == "OPTIONS":
        options: Any = site.get("options", "same")
        return {**secure, "status": 200, "body": ""} if options == "same" else options
    if path == "/robots.txt":
        robots: Spec = site.get("robots", _NOT_FOUND)
        return robots
    answer: Spec = site.get("paths", {}).get(path, secure)
    return answer


def _compose(spec: Spec, host: str, request: Request) -> bytes:
    body: bytes = spec.get("body", "").encode()
    lines = [f"HTTP/1.1 {spec.get('status', 200)} Status"]
    for name, value in spec.get("headers", []):
        if "{origin}" in value and "origin" not in request.headers:
            continue
        filled = value.replace("{origin}", request.headers.get("origin", ""))
        lines.append(f"{name}: {_ORIGIN.sub(lambda match: f'{match[1]}://{match[2] or host}', filled)}")
    names = {line.partition(":")[0].lower() for line in lines}
    if "content-type" not in names and not spec.get("no_ct"):
        lines.append("Content-Type: text/html; charset=utf-8")
    if spec.get("gzip"):
        body = gzip.compress(body)
        lines.append("Content-Encoding: gzip")
    if spec.get("chunked") and body:
        half = len(body) // 2
        parts = [part for part in (body[:half], body[half:]) if part]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        lines.append("Transfer-Encoding: chunked")
    else:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + body
