"""Loads, serves or removes the demonstration."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from portal.demo.databases import DemoError
from portal.demo.load import DemoSites, is_loaded, load_demo, remove_demo

WATCH_SECONDS = 5


class Command(BaseCommand):
    help = "Loads the demonstration: two environments that are really served, with real databases."

    def add_arguments(self, parser: ArgumentParser) -> None:
        action = parser.add_mutually_exclusive_group()
        action.add_argument("--remove", action="store_true", help="take all of it away, backups included")
        action.add_argument("--serve", action="store_true", help="serve its two sites until stopped")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["remove"]:
                removed = remove_demo()
                self.stdout.write("The demonstration is gone." if removed else "There was no demonstration.")
            elif options["serve"]:
                self._serve()
            else:
                load_demo()
                self.stdout.write("The demonstration is loaded; `make run` serves its sites from its next start on.")
        except DemoError as error:
            raise CommandError(str(error)) from None

    def _serve(self) -> None:
        over = threading.Event()

        def stop(signum: int, frame: FrameType | None) -> None:
            over.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        sites: DemoSites | None = None
        # The process stays when the demonstration goes: whoever started it would take its end for a failure.
        while True:
            is_wanted = self._is_wanted(is_served=sites is not None)
            if sites is None and is_wanted:
                sites = DemoSites()
                self.stderr.write(f"Serving {', '.join(sites.urls)}")
            elif sites is not None and not is_wanted:
                sites.close()
                sites = None
            if over.wait(WATCH_SECONDS):
                break
        if sites is not None:
            sites.close()

    def _is_wanted(self, *, is_served: bool) -> bool:
        """Whether the demonstration is there; while the database cannot say, it stays as it is."""
        try:
            return is_loaded()
        except DatabaseError:
            connection.close()
            return is_served
