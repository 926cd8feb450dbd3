"""Sets up the recurring jobs; writes django-q2's schedules."""

from typing import Any

from django.core.management.base import BaseCommand

from portal.jobs import RECURRING_JOBS, setup_schedules


class Command(BaseCommand):
    help = "Sets up the recurring jobs, however often it is run."

    def handle(self, *args: Any, **options: Any) -> None:
        setup_schedules()
        self.stdout.write(f"{len(RECURRING_JOBS)} recurring jobs are set up.")
