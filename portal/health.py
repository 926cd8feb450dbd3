"""Whether the process lives and whether the portal can do its work; reads database, migrations and pulses."""

from __future__ import annotations

from collections.abc import Callable

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.utils import timezone

from backups.leases import read_lease_end
from portal.jobs import read_pulses


class HealthMiddleware:
    """Answers /healthz and /readyz before anything else looks at the request.

    Load balancers ask over plain HTTP, by address instead of by name, and without an account; none of that may turn a
    healthy portal away, and nothing that is told here is a secret.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        self._answers = {"/healthz": answer_health, "/readyz": answer_readiness}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self._answers.get(request.path_info)
        if answer is None:
            return self._get_response(request)
        response = answer() if request.method in {"GET", "HEAD"} else HttpResponseNotAllowed(["GET", "HEAD"])
        response["Cache-Control"] = "no-store"
        return response


def answer_health() -> HttpResponse:
    """200 as long as this process answers."""
    return JsonResponse({"status": "ok"})


def answer_readiness() -> HttpResponse:
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
