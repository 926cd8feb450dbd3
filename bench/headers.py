"""The headers batch of `manage.py probe` against the MDN HTTP Observatory's own scanner, on the same local sites.

Promise: at least 20 times faster, commands as people type them, start-up included on both sides: ours takes all sites
at once, the scanner one site a command. Beside it, as a note, both without start-up: one process each, all sites side
by side. The scanner is installed for the run by npm and goes away again; without npm nothing is compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from bench.promises import Promises, take_turns
from tests.servers.corpus import Corpus, serve_corpus

SCANNER = "@mdn/mdn-http-observatory@1.4.8"
CASES = Path(__file__).parents[1] / "tests" / "data" / "headers" / "cases.json"
SITES, ROUNDS, TIMED_COMMANDS = 30, 3, 4
# Leads every connection to the local servers, as --connect-to does for ours; names, SNI and Host stay.
_LEAD = """
import net from "node:net";
const lead = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...given) {
  const options = Array.isArray(given[0]) ? given[0][0] : given[0];
  if (options && typeof options === "object" && !options.path) {
    options.port = String(options.port) === "443" ? process.env.BENCH_TLS : process.env.BENCH_PLAIN;
    options.host = "127.0.0.1";
  }
  return lead.apply(this, given);
};
"""
_SIDE_BY_SIDE = """
import readline from "node:readline";
import { scan } from "@mdn/mdn-http-observatory/src/scanner/index.js";
for await (const line of readline.createInterface({ input: process.stdin })) {
  const started = performance.now();
  const scores = await Promise.all(JSON.parse(line).map(
    (host) => scan(host).then((result) => [host, result.scan.score], () => [host, null])));
  console.log(JSON.stringify([(performance.now() - started) / 1000, Object.fromEntries(scores)]));
}
"""


def install_scanner(folder: Path) -> bool:
    """Whether the scanner is now in `folder`; its own preload list and suffix list are made empty, as we have ours."""
    (folder / "package.json").write_text('{"private": true, "type": "module"}', encoding="utf-8")
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", SCANNER]
    if subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode:
        return False
    (folder / "lead.mjs").write_text(_LEAD, encoding="utf-8")
    (folder / "side_by_side.mjs").write_text(_SIDE_BY_SIDE, encoding="utf-8")
    conf = folder / "node_modules" / "@mdn" / "mdn-http-observatory" / "conf"
    for name, content in (("hsts-preload.json", "{}"), ("tld-list.json", "[]")):
        (conf / name).write_text(content, encoding="utf-8")
    return True


def scanner_environment(folder: Path, corpus: Corpus) -> dict[str, str]:
    roots = folder / "roots.pem"
    roots.write_text(corpus.ca_pem, encoding="utf-8")
    return {
        **os.environ,
        "NODE_OPTIONS": f"--use-openssl-ca --import={folder / 'lead.mjs'}",
        "SSL_CERT_FILE": str(roots),
        "BENCH_TLS": str(corpus.secure.port),
        "BENCH_PLAIN": str(corpus.plain.port),
    }


def time_our_command(hosts: list[str], corpus: Corpus, roots: Path) -> float:
    """Seconds of one `manage.py probe headers` over all hosts."""
    command = [sys.executable, "manage.py", "probe", "headers", *hosts, "--json", "--ca-file", str(roots)]
    for port, server in (("443", corpus.secure), ("80", corpus.plain)):
        command += ["--connect-to", f":{port}:127.0.0.1:{server.port}"]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    scored = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(scored) == len(hosts), done.stderr
    assert all(each["data"]["score"] is not None for each in scored), done.stdout
    return seconds


def time_scanner_command(host: str, folder: Path, environment: Mapping[str, str]) -> float:
    """Seconds of one `mdn-http-observatory-scan` of one host."""
    program = folder / "node_modules" / ".bin" / "mdn-http-observatory-scan"
    started = time.perf_counter()
    done = subprocess.run([str(program), host], env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    assert json.loads(done.stdout)["scan"]["score"] is not None, done.stderr
    return seconds


def scan_here(hosts: list[str], corpus: Corpus) -> tuple[float, dict[str, Any]]:
    """Seconds and scores of our batch in this process, all hosts side by side as the command does."""
    from datetime import UTC, datetime

    from readiness.probes.addresses import AddressPolicy
    from readiness.probes.base import ConnectTo, TargetOptions
    from readiness.probes.headers import HeadersProbe
    from readiness.probes.runner import Job, run_batch

    lead = (
        ConnectTo("", 443, "127.0.0.1", corpus.secure.port),
        ConnectTo("", 80, "127.0.0.1", corpus.plain.port),
    )
    options = TargetOptions(
        ca_pem=corpus.ca_pem, timeout_seconds=20, connect_to=lead, address_policy=AddressPolicy(allow_loopback=True)
    )
    probe = HeadersProbe()
    started = time.perf_counter()
    found = run_batch([Job(probe, probe.parse_target(host, options)) for host in hosts], now=datetime.now(UTC))
    seconds = time.perf_counter() - started
    return seconds, {host: result.data["score"] for host, result in zip(hosts, found, strict=True)}


@contextlib.contextmanager
def run_scanner(folder: Path, environment: Mapping[str, str]) -> Iterator[tuple[IO[str], IO[str]]]:
    command = ["node", str(folder / "side_by_side.mjs")]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as scanner:
        assert scanner.stdin is not None
        assert scanner.stdout is not None
        yield scanner.stdin, scanner.stdout
        scanner.stdin.close()


def main() -> None:
    promises = Promises("headers")
    if shutil.which("npm") is None:
        promises.note("npm is missing (Debian: apt install npm): the Observatory's scanner is not compared.")
        return
    with tempfile.TemporaryDirectory(prefix="preflight-bench-") as name, serve_corpus(CASES) as corpus:
        folder = Path(name)
        if not install_scanner(folder):
            promises.note(f"npm could not install {SCANNER}: not compared.")
            return
        environment = scanner_environment(folder, corpus)
        with run_scanner(folder, environment) as (to_scanner, from_scanner):

            def scan_there(hosts: list[str]) -> tuple[float, dict[str, Any]]:
                to_scanner.write(json.dumps(hosts) + "\n")
                to_scanner.flush()
                seconds, scores = json.loads(from_scanner.readline())
                return seconds, scores

            compare(corpus, folder, environment, scan_there, promises)
    promises.finish()


def compare(corpus: Corpus, folder: Path, environment: Mapping[str, str], scan_there: Any, promises: Promises) -> None:
    hosts = [case["host"] for case in corpus.cases]
    ours, theirs = scan_here(hosts, corpus)[1], scan_there(hosts)[1]
    both = [host for host in hosts if ours[host] is not None and theirs[host] is not None][:SITES]
    same = sum(ours[host] == theirs[host] for host in both)
    promises.note(f"{len(both)} sites that both score; the same score on {same} (the preload lists differ)")
    took = take_turns(
        {
            "command": lambda: time_our_command(both, corpus, folder / "roots.pem"),
            "scanner's command": lambda: (
                min(time_scanner_command(host, folder, environment) for host in both[:TIMED_COMMANDS]) * len(both)
            ),
            "batch": lambda: scan_here(both, corpus)[0],
            "scanner's batch": lambda: scan_there(both)[0],
        },
        ROUNDS,
    )
    each = {way: f"{seconds / len(both) * 1000:,.1f} ms" for way, seconds in took.items()}
    promises.note("a site: " + ", ".join(f"{way} {text}" for way, text in each.items()))
    promises.at_least(
        "our command faster than the scanner's", took["scanner's command"] / took["command"], 20, " times"
    )
    ratio = took["scanner's batch"] / took["batch"]
    promises.note(f"without start-up: {ratio:.1f} times faster")


if __name__ == "__main__":
    main()
