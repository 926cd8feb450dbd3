"""Probing over TLS, one new connection each: client CPU against a raw ssl loop and the blackbox exporter; throughput.

Promises: at most 1.6 times the raw loop, at most 1.8 times with judging and storing, less than the blackbox exporter
(where it is installed), and at least 700 probes a second with 32 threads, the target on the same cores.
"""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from bench.ground import portal_on_scratch_cluster
from bench.promises import Promises, take_turns
from bench.sites import Site, serve_site
from readiness.probes.addresses import AddressPolicy
from readiness.probes.base import Target, TargetEndpoint

# Short turns, many of them: the least of them then fell between what else the machine does.
PROBES, ROUNDS, BATCH = 25, 40, 25
THREADS, CONCURRENT_PROBES, CONCURRENT_ROUNDS = 32, 800, 3
BLACKBOX = "prometheus-blackbox-exporter"


def make_raw_probe(site: Site) -> Callable[[], None]:
    """The floor: connect, shake hands, GET, read the head as the probe does; nothing is looked at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=site.ca_pem)
    request = f"GET / HTTP/1.1\r\nHost: {site.host}:{site.port}\r\nConnection: close\r\n\r\n".encode()

    def probe() -> None:
        with (
            socket.create_connection((site.host, site.port), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname=site.host) as connection,
        ):
            connection.sendall(request)
            assert connection.recv(16384).startswith(b"HTTP/1.1 200")

    return probe


def measure_cpu(probe: Callable[[], object]) -> float:
    """CPU milliseconds of this process for one probe, over PROBES of them."""
    started = time.process_time()
    for _ in range(PROBES):
        probe()
    return (time.process_time() - started) / PROBES * 1000


def measure_rate(probe: Callable[[], object]) -> float:
    """Probes a second with THREADS threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        started = time.perf_counter()
        for done in [pool.submit(probe) for _ in range(CONCURRENT_PROBES)]:
            done.result()
        return CONCURRENT_PROBES / (time.perf_counter() - started)


def make_stored_measure(site: Site) -> Callable[[], float]:
    """What a worker does: batches observed, judged and stored; CPU milliseconds of this process for one probe."""
    from django.utils import timezone

    from readiness import partitions, results
    from readiness.models import Environment
    from readiness.probes.registry import get_probe
    from readiness.probes.runner import Job, run_batch

    now = timezone.now()
    partitions.ensure_partitions(now)
    environments = Environment.objects.bulk_create([Environment(name=f"E{n}", slug=f"e-{n}") for n in range(BATCH)])
    jobs = [Job(get_probe("http"), make_target(site)) for _ in environments]
    clock = [now]

    def measure() -> float:
        started = time.process_time()
        for _ in range(PROBES // BATCH):
            clock[0] += timedelta(seconds=1)
            found = run_batch(jobs, now=clock[0])
            results.record(
                results.Observed(environment.pk, clock[0], result)
                for environment, result in zip(environments, found, strict=True)
            )
            assert all(result.status == "pass" for result in found), found[0]
        return (time.process_time() - started) / PROBES * 1000

    return measure


def make_target(site: Site) -> Target:
    policy = AddressPolicy(allow_loopback=True)
    endpoint = TargetEndpoint(role="frontend", url=site.url)
    return Target(label="site", endpoints=(endpoint,), ca_pem=site.ca_pem, timeout_seconds=20, address_policy=policy)


@contextlib.contextmanager
def run_blackbox(site: Site, promises: Promises) -> Iterator[Callable[[], float] | None]:
    """The exporter as a process of its own: a measure of its CPU milliseconds for one probe; None without it."""
    program = shutil.which(BLACKBOX)
    if program is None:
        promises.note(f"{BLACKBOX} is not installed (Debian: apt install {BLACKBOX}): not compared.")
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="preflight-bench-") as folder:
        config, roots = Path(folder, "blackbox.yml"), Path(folder, "roots.pem")
        roots.write_text(site.ca_pem, encoding="utf-8")
        config.write_text(
            "modules: {page: {prober: http, timeout: 10s, http: {preferred_ip_protocol: ip4,"
            f" tls_config: {{ca_file: {roots}}}}}}}}}\n",
            encoding="utf-8",
        )
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command = [program, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
        exporter = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            path = f"/probe?module=page&target={quote(site.url, safe='')}"
            yield lambda: _measure_exporter(exporter.pid, port, path)
        finally:
            exporter.terminate()
            exporter.wait()


def _measure_exporter(pid: int, port: int, path: str) -> float:
    asker = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for _ in range(100):
        with contextlib.suppress(ConnectionRefusedError):
            asker.connect()
            break
        time.sleep(0.1)

    def ask() -> bytes:
        asker.request("GET", path)
        return asker.getresponse().read()

    assert b"\nprobe_success 1" in ask(), "the exporter does not reach the site"
    started = _read_cpu_seconds(pid)
    for _ in range(PROBES):
        ask()
    return (_read_cpu_seconds(pid) - started) / PROBES * 1000


def _read_cpu_seconds(pid: int) -> float:
    """Of all threads, to the nanosecond, where /proc/PID/stat counts in hundredths of a second."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((each / "schedstat").read_text(encoding="utf-8").split()[0]) for each in threads) / 1e9


def main() -> None:
    from readiness.probes.registry import get_probe

    promises = Promises("http over TLS, one new connection each")
    with serve_site() as site, run_blackbox(site, promises) as measure_blackbox:
        probe, target, raw = get_probe("http"), make_target(site), make_raw_probe(site)
        observed = probe.observe(target)
        assert observed[0].answers, observed[0].failure
        ways = {
            "raw": lambda: measure_cpu(raw),
            "observed": lambda: measure_cpu(lambda: probe.observe(target)),
            "stored": make_stored_measure(site),
        }
        if measure_blackbox is not None:
            ways["blackbox"] = measure_blackbox
        cpu = take_turns(ways, ROUNDS)
        promises.note("client CPU a probe: " + ", ".join(f"{name} {each:.2f} ms" for name, each in cpu.items()))
        promises.at_most("client CPU against a raw ssl loop", cpu["observed"] / cpu["raw"], 1.6, " times")
        promises.at_most("the same, judged and stored", cpu["stored"] / cpu["raw"], 1.8, " times")
        if "blackbox" in cpu:
            promises.at_most(f"client CPU against {BLACKBOX}", cpu["observed"] / cpu["blackbox"], 1, " times")
        rates = {"raw": 0.0, "ours": 0.0}
        for _ in range(CONCURRENT_ROUNDS):
            rates["raw"] = max(rates["raw"], measure_rate(raw))
            rates["ours"] = max(rates["ours"], measure_rate(lambda: probe.observe(target)))
        promises.note(
            f"raw ssl loop, {THREADS} threads: {rates['raw']:,.0f}/s; ours {rates['ours'] / rates['raw']:.2f} of it"
        )
        promises.at_least(f"probes a second with {THREADS} threads", rates["ours"], 700, "/s")
    promises.finish()


if __name__ == "__main__":
    with portal_on_scratch_cluster():
        main()
