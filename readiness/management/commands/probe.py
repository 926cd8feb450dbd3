"""Probes targets typed on the command line; reads no database, writes one result a target to stdout."""

import argparse
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from readiness.probes import registry
from readiness.probes.addresses import AddressPolicy
from readiness.probes.base import (
    DEFAULT_TIMEOUT_SECONDS,
    ConnectTo,
    ExpectedRecord,
    ProbeResult,
    Status,
    TargetError,
    TargetOptions,
    make_error_result,
    mask_secrets,
)
from readiness.probes.http_client import ascii_host
from readiness.probes.net import NetError
from readiness.probes.net_tls import tls_context
from readiness.probes.report import format_json_line, format_table
from readiness.probes.runner import DEFAULT_CONCURRENCY, Job, run_batch

DEEP_TIMEOUT_SECONDS = 60.0
MAX_CA_CHARACTERS = 4 * 1024 * 1024  # all public roots take a quarter of a megabyte
EXIT_FAIL, EXIT_USAGE, EXIT_ERROR = 1, 2, 3
_CONNECT_TO = re.compile(
    r"(?P<host>\[[^\]]*\]|[^:\[\]]*):(?P<port>\d*):(?P<to_host>\[[^\]]*\]|[^:\[\]]*):(?P<to_port>\d*)"
)


class Command(BaseCommand):
    help = "Probe hosts, URLs or databases and print what is found. Stores nothing, needs no database."
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", help=f"what to probe: {', '.join(registry.list_kinds())}")
        parser.add_argument(
            "targets",
            nargs="+",
            metavar="TARGET",
            help="host, host:port or URL; a DSN, env:NAME or file:PATH; the TOML file of a scenario",
        )
        parser.add_argument("--ca-file", type=Path, help="PEM file of private roots, trusted beside the system's")
        parser.add_argument(
            "--connect-to",
            action="append",
            default=[],
            type=parse_connect_to,
            metavar="HOST1:PORT1:HOST2:PORT2",
            help="connect to HOST2:PORT2 for HOST1:PORT1; empty parts match anything; repeatable",
        )
        parser.add_argument(
            "--timeout",
            type=_parse_seconds,
            metavar="S",
            help=f"seconds for each target in all (default: {DEFAULT_TIMEOUT_SECONDS:g}; browser 30; "
            f"--deep {DEEP_TIMEOUT_SECONDS:g}; a scenario's own)",
        )
        parser.add_argument(
            "--concurrency", type=_parse_count, default=DEFAULT_CONCURRENCY, metavar="N", help="targets at a time"
        )
        parser.add_argument(
            "--expect",
            action="append",
            default=[],
            type=parse_expected_record,
            metavar="TYPE=VALUE[,VALUE]",
            help="what dns should find: A, AAAA or CNAME with all values, none for no such record; repeatable",
        )
        parser.add_argument(
            "--nameserver", action="append", default=[], metavar="ADDRESS[:PORT]", help="whom dns asks; repeatable"
        )
        parser.add_argument(
            "--deep", action="store_true", help="tls: have sslyze try cipher suites and vulnerabilities"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object a line and target")

    def handle(self, *args: Any, **options: Any) -> None:
        kind = options["kind"]
        if kind not in registry.list_kinds():
            known = ", ".join(registry.list_kinds())
            raise CommandError(f"There is no probe of kind {kind}; there are {known}.", returncode=EXIT_USAGE)
        if options["deep"] and kind != "tls":
            raise CommandError("--deep goes with tls only.", returncode=EXIT_USAGE)
        default_seconds = DEEP_TIMEOUT_SECONDS if options["deep"] else registry.get_default_timeout(kind)
        target_options = TargetOptions(
            ca_pem=_read_ca_file(options["ca_file"]),
            timeout_seconds=options["timeout"] or default_seconds,
            connect_to=tuple(options["connect_to"]),
            # The operator's own hand: what the operator's machine reaches may be probed, metadata addresses excepted.
            address_policy=AddressPolicy(allow_loopback=True, allow_private=True),
            expected_records=tuple(options["expect"]),
            nameservers=tuple(options["nameserver"]),
            expiry_days=tuple(settings.CERTIFICATE_EXPIRY_DAYS),
            is_deep=options["deep"],
        )
        results = _probe_targets(kind, options["targets"], target_options, options["concurrency"])
        self._print_results(results, options)
        exit_status = decide_exit_status(results)
        if exit_status:
            raise SystemExit(exit_status)

    def _print_results(self, results: list[ProbeResult], options: dict[str, Any]) -> None:
        if sys.stdout is None:
            raise CommandError("The results cannot be written: standard output is closed.", returncode=EXIT_ERROR)
        try:
            if options["json"]:
                for result in results:
                    self.stdout.write(format_json_line(result))
            else:
                colour = (self.stdout.isatty() and not options["no_color"]) or options["force_color"]
                self.stdout.write(format_table(results, colour=colour))
            self.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CommandError(f"The results cannot be written: {error.strerror}.", returncode=EXIT_ERROR) from None


def _probe_targets(kind: str, texts: list[str], options: TargetOptions, concurrency: int) -> list[ProbeResult]:
    """Return one result a text, in order; a text that is no target has a result that says so."""
    probe = registry.get_probe(kind)
    results: dict[int, ProbeResult] = {}
    jobs: dict[int, Job] = {}
    for position, text in enumerate(texts):
        try:
            jobs[position] = Job(probe, probe.parse_target(text, options))
        except TargetError as error:
            results[position] = make_error_result(kind, mask_secrets(text), error.reason, str(error))
    probed = run_batch(jobs.values(), concurrency=concurrency, now=datetime.now(UTC))
    results.update(zip(jobs, probed, strict=True))
    return [results[position] for position in sorted(results)]


def decide_exit_status(results: list[ProbeResult]) -> int:
    """Return 3 when any target could not be told, else 1 when any failed, else 0."""
    statuses = {result.status for result in results}
    if Status.ERROR in statuses:
        return EXIT_ERROR
    return EXIT_FAIL if Status.FAIL in statuses else 0


def parse_connect_to(text: str) -> ConnectTo:
    """Parse HOST1:PORT1:HOST2:PORT2 as curl's --connect-to; IPv6 addresses in brackets, any part may be empty."""
    match = _CONNECT_TO.fullmatch(text)
    ports = [int(match[part]) for part in ("port", "to_port") if match[part]] if match else []
    if match is None or any(not 0 < port < 65536 for port in ports):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form HOST1:PORT1:HOST2:PORT2")
    try:
        host, to_host = (ascii_host(match[part].strip("[]")) for part in ("host", "to_host"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} has a host name that is not valid") from None
    return ConnectTo(
        host=host,
        port=int(match["port"]) if match["port"] else None,
        to_host=to_host,
        to_port=int(match["to_port"]) if match["to_port"] else None,
    )


def parse_expected_record(text: str) -> ExpectedRecord:
    """Parse TYPE=VALUE[,VALUE]; no value means that there must be no such record."""
    record_type, equals, values = text.partition("=")
    if not equals or record_type.upper() not in ("A", "AAAA", "CNAME"):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form TYPE=VALUE with A, AAAA or CNAME as type")
    return ExpectedRecord(record_type.upper(), tuple(filter(None, (value.strip() for value in values.split(",")))))


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds between 0 and 3600")
    return seconds


def _parse_count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 1 and 1000")
    return int(text)


def _read_ca_file(path: Path | None) -> str:
    """Return the PEM text of `path`, checked to hold a certificate that can be read; "" when there is no path."""
    if path is None:
        return ""
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            text = file.read(MAX_CA_CHARACTERS + 1)
        if len(text) > MAX_CA_CHARACTERS:
            raise CommandError(f"The CA file {path} is too large to be one.", returncode=EXIT_USAGE)
        tls_context(text)
    except OSError as error:
        raise CommandError(f"The CA file {path} cannot be read: {error.strerror}.", returncode=EXIT_USAGE) from None
    except NetError:
        raise CommandError(
            f"The CA file {path} holds no certificate that can be read.", returncode=EXIT_USAGE
        ) from None
    if "BEGIN CERTIFICATE" not in text:
        raise CommandError(f"The CA file {path} holds no certificate that can be read.", returncode=EXIT_USAGE)
    return text
