"""A full TLS verdict, ours against sslyze's, of the same local server, in one process each, start-up left out.

Promise: at least 50 times faster. sslyze is installed for the run into a virtual environment that goes away again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from bench.promises import Promises, take_turns
from bench.sites import Site, serve_site

SSLYZE = "sslyze==6.3.1"
ROUNDS, OURS_A_ROUND = 7, 15
_PEER = """
import json, sys, time
from pathlib import Path
from sslyze import (CertificateInfoExtraArgument, ScanCommandsExtraArguments, Scanner, ServerNetworkLocation,
                    ServerScanRequest)
host, port, roots = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
for line in sys.stdin:
    started = time.perf_counter()
    scanner = Scanner()
    scanner.queue_scans([ServerScanRequest(
        ServerNetworkLocation(host, port),
        scan_commands_extra_arguments=ScanCommandsExtraArguments(
            certificate_info=CertificateInfoExtraArgument(custom_ca_file=roots)))])
    result, = scanner.get_results()
    seconds = time.perf_counter() - started
    verified = False
    if result.scan_result:
        deployment = result.scan_result.certificate_info.result.certificate_deployments[0]
        verified = any(each.was_validation_successful for each in deployment.path_validation_results)
    print(json.dumps([seconds, result.scan_status.name, verified]), flush=True)
"""


def install_peer(folder: Path) -> Path | None:
    """The Python of a new virtual environment with sslyze in it; None when it cannot be installed."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    made = subprocess.run([str(python), "-m", "pip", "install", "--quiet", SSLYZE], capture_output=True, check=False)
    return python if made.returncode == 0 else None


def ask_peer(to_peer: IO[str], from_peer: IO[str]) -> float:
    to_peer.write("scan\n")
    to_peer.flush()
    seconds, status, is_verified = json.loads(from_peer.readline())
    assert status == "COMPLETED", status
    assert is_verified, "sslyze does not trust the server"
    return float(seconds)


def measure_ours(site: Site) -> float:
    from readiness.probes.addresses import AddressPolicy
    from readiness.probes.base import Target, TargetEndpoint
    from readiness.probes.runner import run_probe
    from readiness.probes.tls import TlsProbe

    target = Target(
        label="site",
        endpoints=(TargetEndpoint(role="frontend", url=site.url),),
        ca_pem=site.ca_pem,
        timeout_seconds=20,
        address_policy=AddressPolicy(allow_loopback=True),
    )
    best = float("inf")
    for _ in range(OURS_A_ROUND):
        started = time.perf_counter()
        result = run_probe(TlsProbe(), target, datetime.now(UTC))
        best = min(best, time.perf_counter() - started)
        assert result.data["trusted"] is True, result
        assert result.data["protocols"] == ["TLSv1.2", "TLSv1.3"], result.data
    return best


def main() -> None:
    promises = Promises("tls, a full verdict")
    # sslyze keeps several connections open at a time: it must not wait for a place.
    with tempfile.TemporaryDirectory(prefix="preflight-bench-") as folder, serve_site(processes=12) as site:
        python = install_peer(Path(folder, "venv"))
        if python is None:
            promises.note(f"{SSLYZE} could not be installed (pip needs a package index): not compared.")
            return
        roots, script = Path(folder, "roots.pem"), Path(folder, "peer.py")
        roots.write_text(site.ca_pem, encoding="utf-8")
        script.write_text(_PEER, encoding="utf-8")
        command = [str(python), str(script), site.host, str(site.port), str(roots)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
            to_peer, from_peer = peer.stdin, peer.stdout
            assert to_peer is not None
            assert from_peer is not None
            took = take_turns(
                {"ours": lambda: measure_ours(site), "sslyze": lambda: ask_peer(to_peer, from_peer)}, ROUNDS
            )
            to_peer.close()
        promises.note(f"ours {took['ours'] * 1000:.1f} ms, {SSLYZE} {took['sslyze'] * 1000:.0f} ms, the best of each")
        promises.at_least("faster than sslyze", took["sslyze"] / took["ours"], 50, " times")
    promises.finish()


if __name__ == "__main__":
    main()
