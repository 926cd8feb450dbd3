"""Whether the process lives and whether the portal can do its work; reads database, migrations and pulses."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from backups.leases import read_lease_end
from portal.jobs import read_pulses


@login_not_required
@never_cache
@require_safe
def show_health(request: HttpRequest) -> JsonResponse:
    """200 as long as this process answers."""
    return JsonResponse({"status": "ok"})


@login_not_required
@never_cache
@require_safe
def show_readiness(request: HttpRequest) -> JsonResponse:
    """200 when the database answers, no migration is missing and every cluster of workers is alive; else 503."""
    answer = {"database": False, "migrations": False, "workers": False}
    try:
        connection.ensure_connection()
        answer["database"] = True
        executor = MigrationExecutor(connection)
        answer["migrations"] = not executor.migration_plan(executor.loader.graph.leaf_nodes())
        if answer["migrations"]:
            pulses = read_pulses(timezone.now(), read_lease_end())
            answer["workers"] = all(pulse.alive for pulse in pulses.values())
    except DatabaseError:
        connection.close()
    return JsonResponse(answer, status=200 if all(answer.values()) else 503)
