"""A nameserver on loopback, over UDP and TCP on one port, that answers from a zone or misbehaves name by name."""

import contextlib
import socketserver
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = Mapping[str, Mapping[str, list[str]] | str]
"""Name -> {type: values}; or how to misbehave: an rcode such as "SERVFAIL", "silent", "garbage"."""

TTL_SECONDS = 300


@dataclass
class LocalNameserver:
    """A running nameserver, and the questions it was asked as (name, type)."""

    port: int
    questions: list[tuple[str, str]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextlib.contextmanager
def serve_zone(zone: Zone, *, truncate: bool = False) -> Iterator[LocalNameserver]:
    """Answer from `zone` until the block ends; with `truncate`, UDP answers say that the rest is to be had over TCP."""
    local = LocalNameserver(0)

    class _Datagram(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, sock = self.request
            answer = _answer(zone, data, local)
            if truncate and answer:
                message = dns.message.make_response(dns.message.from_wire(data))
                message.flags |= dns.flags.TC
                answer = message.to_wire()
            if answer:
                sock.sendto(answer, self.client_address)

    class _Stream(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            (length,) = struct.unpack("!H", self.request.recv(2))
            answer = _answer(zone, self.request.recv(length), local)
            self.request.sendall(struct.pack("!H", len(answer)) + answer)

    with contextlib.ExitStack() as stack:
        udp, tcp = _listen_twice(_Datagram, _Stream)
        local.port = udp.server_address[1]
        for server in (stack.enter_context(udp), stack.enter_context(tcp)):
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield local


def _listen_twice(
    datagram: type[socketserver.BaseRequestHandler], stream: type[socketserver.BaseRequestHandler]
) -> tuple[socketserver.ThreadingUDPServer, socketserver.ThreadingTCPServer]:
    """Two servers on one port: a port that is free over UDP may be in use over TCP, and then another is taken."""
    while True:
        udp = socketserver.ThreadingUDPServer(("127.0.0.1", 0), datagram)
        try:
            return udp, socketserver.ThreadingTCPServer(("127.0.0.1", udp.server_address[1]), stream)
        except OSError:
            udp.server_close()


def _answer(zone: Zone, data: bytes, local: LocalNameserver) -> bytes:
    query = dns.message.from_wire(data)
    question = query.question[0]
    name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
    local.questions.append((name, kind))
    response = dns.message.make_response(query, recursion_available=True)
    while True:
        entry = zone.get(f"{name}/{kind}", zone.get(name))
        if entry is None:
            is_parent = any(each.endswith(f".{name}") for each in zone)  # a name with names below it exists
            response.set_rcode(dns.rcode.NOERROR if is_parent else dns.rcode.NXDOMAIN)
        elif entry == "silent":
            return b""
        elif entry == "garbage":
            return data[:2] + bytes(range(60))
        elif isinstance(entry, str):
            response.set_rcode(dns.rcode.from_text(entry))
            response.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, "signature expired")])
        elif kind in entry:
            response.answer.append(dns.rrset.from_text(f"{name}.", TTL_SECONDS, "IN", kind, *entry[kind]))
        elif "CNAME" in entry:
            (link,) = entry["CNAME"]
            response.answer.append(dns.rrset.from_text(f"{name}.", TTL_SECONDS, "IN", "CNAME", link))
            name = link.rstrip(".")
            continue
        return response.to_wire()
