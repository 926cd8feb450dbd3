"""Runs one cluster of workers and keeps it alive; reads its queue, writes what its tasks write."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from portal.jobs import CLUSTERS, note_returns
from portal.parent_death import die_with_parent, tie_forks_to_this_process
from portal.supervisor import Supervisor


class Command(BaseCommand):
    help = "Runs the workers of one cluster under supervision: default for probes, long for backups and restores."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("cluster", choices=CLUSTERS)
        parser.add_argument("--bare", type=int, metavar="PARENT", help="run as the cluster of that supervisor itself")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["bare"] is not None:
            die_with_parent(options["bare"])
            tie_forks_to_this_process()
            note_returns(options["cluster"])
            call_command("qcluster")
            return
        # The site may know backups; readiness and the supervisor's own rules do not.
        from backups.leases import read_newest_lease_renewal

        Supervisor(options["cluster"], read_newest_lease_renewal).run()
