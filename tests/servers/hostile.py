"""Servers that misbehave in every way the world knows: handlers for `serve` and `serve_tls`."""

import functools
import socket
import struct
import time
import zlib

from tests.servers.web import read_request

_PATIENCE_SECONDS = 30.0


def stay_silent(sock: socket.socket) -> None:
    """Take everything and never say a word."""
    sock.settimeout(_PATIENCE_SECONDS)
    while sock.recv(4096):
        pass


def drip_headers(sock: socket.socket) -> None:
    """Send a header byte by byte, each well within any timeout of a single read."""
    read_request(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    _drip(sock)


def drip_body(sock: socket.socket) -> None:
    """Send a good head and then the body byte by byte."""
    read_request(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1000000\r\n\r\n")
    _drip(sock)


def drip_handshake(sock: socket.socket) -> None:
    """Send the header of a TLS record and then its content byte by byte."""
    sock.recv(4096)
    sock.sendall(b"\x16\x03\x03\x40\x00")
    _drip(sock)


def _drip(sock: socket.socket) -> None:
    ends_at = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < ends_at:
        sock.sendall(b"a")
        time.sleep(0.05)


def send_gzip_bomb(sock: socket.socket) -> None:
    """Send a gigabyte of zeros, gzipped to about a megabyte."""
    read_request(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n")
    sock.sendall(pack_zeros())


@functools.cache
def pack_zeros() -> bytes:
    """A gigabyte of zeros, gzipped to about a megabyte; takes a few seconds at first."""
    packer = zlib.compressobj(9, wbits=31)
    block = bytes(1024 * 1024)
    return b"".join([*(packer.compress(block) for _ in range(1024)), packer.flush()])


def send_endless_body(sock: socket.socket) -> None:
    """Send a body without end."""
    read_request(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n")
    block = b"x" * 65536
    while True:
        sock.sendall(block)


def send_many_headers(sock: socket.socket) -> None:
    """Send a hundred thousand headers."""
    read_request(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(100_000)) + b"\r\n")


def send_long_header(sock: socket.socket) -> None:
    """Send one header of ten megabytes."""
    read_request(sock)
    sock.sendall(b"HTTP/1.1 200 OK\r\nX-Long: " + b"y" * 10_000_000 + b"\r\n\r\n")


def send_garbage(sock: socket.socket) -> None:
    """Answer anything with bytes that are no protocol."""
    sock.recv(4096)
    sock.sendall(bytes(range(256)) * 64)


def reset_at_once(sock: socket.socket) -> None:
    """Reset the connection as soon as the client has said something."""
    sock.recv(1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def hang_up(sock: socket.socket) -> None:
    """Close the connection politely without an answer."""
    sock.recv(4096)


def redirect_to_itself(sock: socket.socket) -> None:
    """Redirect every request to the same address."""
    request = read_request(sock)
    if request is not None:
        host = request.headers.get("host", "")
        head = f"HTTP/1.1 302 Found\r\nLocation: http://{host}{request.path}\r\nContent-Length: 0\r\n\r\n"
        sock.sendall(head.encode())
