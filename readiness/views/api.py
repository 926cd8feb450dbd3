"""What programs post, with a token instead of a person; answers JSON only."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from readiness import tasks, tokens
from readiness.models import ApiToken, Environment
from readiness.outside import OutsideError, post_facts, record_deploy

logger = logging.getLogger(__name__)

BODY_BYTES = 64_000
NO_DATABASE = "The portal’s own database cannot be reached."
ProgramView = Callable[[HttpRequest, Environment, str], HttpResponse]


def for_programs(
    scope: ApiToken.Scope, *methods: str, without_database: Callable[[str], dict[str, Any]] | None = None
) -> Callable[[ProgramView], Callable[..., HttpResponse]]:
    """A view of one environment for whoever shows a token of this scope; it is told the token's name.

    401 without a good token, 403 when it is for something or somewhere else, 404 when there is no such environment, 405
    for other methods, 503 while the database is gone: then with what ``without_database`` makes of the slug.
    """

    def decorate(view: ProgramView) -> Callable[..., HttpResponse]:
        @csrf_exempt  # no cookie lets anybody in here
        @login_not_required
        @never_cache
        @wraps(view)
        def guarded(request: HttpRequest, slug: str) -> HttpResponse:
            if request.method not in methods:
                answer = refuse(f"Only {' and '.join(methods)} can be asked here.", 405)
                answer.headers["Allow"] = ", ".join(methods)
                return answer
            try:
                return let_in(request, slug)
            except (DatabaseError, InterfaceError):
                logger.exception("The API could not read the database")
                body = {"error": NO_DATABASE} if without_database is None else without_database(slug)
                return JsonResponse(body, status=503)

        def let_in(request: HttpRequest, slug: str) -> HttpResponse:
            kind, _, secret = request.headers.get("Authorization", "").partition(" ")
            token = tokens.find_token(secret.strip(), timezone.now()) if kind.lower() == "bearer" else None
            if token is None:
                answer = refuse("Send a token that is still good: Authorization: Bearer pf_…", 401)
                answer.headers["WWW-Authenticate"] = "Bearer"
                return answer
            environment = Environment.objects.active().filter(slug=slug).first()
            if scope not in token.scopes or (token.environment is not None and token.environment.slug != slug):
                return refuse("This token is not for that.", 403)
            if environment is None:
                return refuse("There is no such environment.", 404)
            return view(request, environment, f"token {token.name}")

        return guarded

    return decorate


@for_programs(ApiToken.Scope.POST_FACTS, "POST")
def receive_facts(request: HttpRequest, environment: Environment, actor: str) -> HttpResponse:
    """Keeps the facts of a JSON object, name by name."""
    try:
        kept = post_facts(environment, _read_object(request), by=actor, now=timezone.now())
    except OutsideError as error:
        return refuse(str(error), 400)
    return JsonResponse({"environment": environment.slug, "kept": [fact.name for fact in kept]})


@for_programs(ApiToken.Scope.RECORD_DEPLOYS, "POST")
def receive_deploy(request: HttpRequest, environment: Environment, actor: str) -> HttpResponse:
    """Records the deploy that {"release": "..."} names, and has the environment probed at once."""
    try:
        body = _read_object(request)
        release = body.get("release")
        if set(body) != {"release"} or not isinstance(release, str):
            raise OutsideError('Send {"release": "…"}, and nothing else.')
        deploy, aged = record_deploy(environment, release, by=actor, now=timezone.now())
    except OutsideError as error:
        return refuse(str(error), 400)
    tasks.request_probes(environment)
    answer = {"environment": environment.slug, "release": deploy.release, "at": deploy.at.isoformat(), "stale": aged}
    return JsonResponse(answer, status=201)


def refuse(sentence: str, status: int) -> JsonResponse:
    return JsonResponse({"error": sentence}, status=status)


def _read_object(request: HttpRequest) -> dict[str, Any]:
    try:
        if len(request.body) > BODY_BYTES:
            raise RequestDataTooBig
        if not request.body:
            raise OutsideError("There is no body, or it came without its Content-Length.")
        found = json.loads(request.body)
    except RequestDataTooBig:
        raise OutsideError(f"A body has at most {BODY_BYTES} bytes.") from None
    except (ValueError, RecursionError):
        raise OutsideError("The body is not JSON.") from None
    if not isinstance(found, dict):
        raise OutsideError("The body is not a JSON object.")
    return found
