"""Has sslyze look at a TLS server: starts it with an address that `net` has checked, and reads its report.

sslyze lives in an environment of its own, because it needs another version of cryptography than the portal does.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from readiness.probes import net
from readiness.probes.tls_deep_report import DeepProblem, DeepReport, read_report

_PROJECT = Path(__file__).resolve().parents[2]
_PROGRAM = "sslyze"
_ENVIRONMENT = ".venv-sslyze"
_SCANS = (
    *("--certinfo", "--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3"),
    *("--compression", "--openssl_ccs", "--heartbleed", "--robot", "--reneg"),
)
_MAX_REPORT_BYTES = 20 * 1024 * 1024
# Nothing else of the portal's environment, which is full of secrets, reaches it.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH")


def find_sslyze() -> str | None:
    """Return the path of sslyze: on PATH, beside our own Python, or where `make sslyze` puts it."""
    places = [
        os.environ.get("PATH", os.defpath),
        str(Path(sys.executable).parent),
        str(_PROJECT / _ENVIRONMENT / "bin"),
    ]
    return shutil.which(_PROGRAM, path=os.pathsep.join(places))


def look_deeply(host: str, port: int, door: net.Door, *, is_postgres: bool = False) -> DeepReport:
    """Return what sslyze says of `host`, or why it says nothing. It is killed when the time of the door is over."""
    program = find_sslyze()
    if program is None:
        return DeepReport(problem=DeepProblem.MISSING)
    try:
        route = net.resolve_route(host, port, door)
    except net.NetError:
        return DeepReport(problem=DeepProblem.UNREACHABLE)
    with tempfile.TemporaryDirectory(prefix="sslyze-") as folder:
        report = Path(folder, "report.json")
        command = [program, "--quiet", f"--json_out={report}", "--mozilla_config", "disable", *_SCANS]
        if door.ca_pem:
            roots = Path(folder, "roots.pem")
            roots.write_text(door.ca_pem, encoding="utf-8")
            command += ["--certinfo_ca_file", str(roots)]
        if is_postgres:
            command += ["--starttls", "postgres"]
        shown = f"[{host}]" if ":" in host else host
        command.append(f"{shown}:{route.port}{{{route.addresses[0]}}}")
        try:
            subprocess.run(  # noqa: S603  a program of a known name, no shell, arguments of our own
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**{name: os.environ[name] for name in _PASSED_ON if name in os.environ}, "HOME": folder},
                timeout=door.deadline.remaining_seconds(),
                check=False,
            )
            with report.open(encoding="utf-8") as file:
                return read_report(file.read(_MAX_REPORT_BYTES))
        except (subprocess.TimeoutExpired, net.DeadlineError):
            return DeepReport(problem=DeepProblem.TIMEOUT)
        except (OSError, ValueError):
            return DeepReport(problem=DeepProblem.BROKEN)
