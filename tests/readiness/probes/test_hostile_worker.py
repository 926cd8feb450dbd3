"""One worker against everything that targets may do to it: each is finished in its time, and memory stays small."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from readiness.probes.base import ErrorReason, FailReason
from readiness.probes.runner import GRACE_SECONDS
from readiness.probes.tls_judgement import FAILURES
from tests.servers import hostile
from tests.servers.certificates import make_certificate, make_root
from tests.servers.sockets import serve, serve_tls

PROJECT = Path(__file__).parents[3]
KINDS = ("http", "headers", "tls")
HOSTILE = (
    hostile.stay_silent,
    hostile.drip_headers,
    hostile.drip_body,
    hostile.drip_handshake,
    hostile.send_gzip_bomb,
    hostile.send_endless_body,
    hostile.send_many_headers,
    hostile.send_long_header,
    hostile.send_garbage,
    hostile.reset_at_once,
    hostile.hang_up,
    hostile.redirect_to_itself,
)
TIMEOUT_SECONDS = 4.0
MAX_MEMORY_BYTES = 300 * 1024 * 1024
ROOT = make_root()
IDENTITY = make_certificate("127.0.0.1", ROOT, hosts=["127.0.0.1"])
# What the worker does, with Django and everything it imports: one process, the default concurrency.
_WORKER = """
import json, resource, sys
from datetime import UTC, datetime
import django
django.setup()
import readiness.tasks
from django.conf import settings
from readiness.probes.addresses import AddressPolicy
from readiness.probes.base import Target, TargetEndpoint
from readiness.probes.registry import get_probe
from readiness.probes.runner import Job, run_batch

given = json.load(sys.stdin)
jobs = []
for kind, url in given["targets"]:
    text = {"expected_text": "never there"} if kind == "http" else {}  # so that http reads bodies too
    jobs.append(Job(get_probe(kind), Target(
        url, (TargetEndpoint("frontend", url, **text),), ca_pem=given["ca"], timeout_seconds=given["seconds"],
        address_policy=AddressPolicy(allow_loopback=True, allow_private=True))))
results = run_batch(jobs, concurrency=settings.PROBE_CONCURRENCY, now=datetime.now(UTC))
try:
    # Linux hands ru_maxrss on from whoever started the process, here pytest with all that it has loaded.
    status = open("/proc/self/status").read()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"peak_bytes": peak, "results": [result.as_json_object() for result in results]}))
"""


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    """Every hostile handler, over plain HTTP and behind a good certificate."""
    hostile.pack_zeros()  # now, so that it is the worker that is busy then
    with ExitStack() as stack:
        found = {}
        for handler in HOSTILE:
            plain = stack.enter_context(serve(handler))
            secure = stack.enter_context(serve_tls(handler, IDENTITY))
            found[f"plain {handler.__name__}"] = f"http://{plain.address}/"
            found[f"no TLS {handler.__name__}"] = f"https://{plain.address}/"
            found[f"TLS {handler.__name__}"] = f"https://{secure.address}/"
        yield found


def test_one_worker_finishes_every_hostile_target_in_its_time_and_stays_small(urls: dict[str, str]) -> None:
    named = [(kind, name) for name in urls for kind in KINDS]
    given = {"targets": [(kind, urls[name]) for kind, name in named], "ca": ROOT.pem, "seconds": TIMEOUT_SECONDS}
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "portal.settings"}
    done = subprocess.run(
        [sys.executable, "-c", _WORKER],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env=env,
        timeout=150,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    assert "Traceback" not in done.stderr
    assert said["peak_bytes"] < MAX_MEMORY_BYTES
    known = {*map(str, ErrorReason), *map(str, FailReason), *FAILURES} - {"internal"}
    for (kind, name), result in zip(named, said["results"], strict=True):
        place = f"{kind} of {name}: {result}"
        assert result["duration_ms"] <= (TIMEOUT_SECONDS + GRACE_SECONDS) * 1000, place
        assert result["findings"], place
        if result["status"] in ("fail", "error"):
            assert result["reason"] in known, place
        if name.startswith(("plain", "no TLS")):
            assert result["status"] in ("fail", "error"), place
    reasons = {entry: result["reason"] for entry, result in zip(named, said["results"], strict=True)}
    assert reasons["http", "plain send_gzip_bomb"] == "wrong_content"  # it came, and was cut
    assert reasons["tls", "plain send_many_headers"] == "not_tls"
