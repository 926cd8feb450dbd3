"""Reports the portal's own errors to the tracker that SENTRY_DSN names; nothing personal and no secret leaves.

Reads the settings; sends events and check-ins. django-q2 is heard through its signals, for its log records name tasks
at random.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import sentry_sdk
from django.conf import settings
from django_q import worker
from django_q.signals import post_execute_in_worker, pre_execute
from sentry_sdk.crons import capture_checkin
from sentry_sdk.crons.consts import MonitorStatus
from sentry_sdk.integrations.argv import ArgvIntegration
from sentry_sdk.integrations.logging import ignore_logger

from portal.jobs import RECURRING_JOBS
from portal.masking import mask_text

logger = logging.getLogger(__name__)

KEPT_HEADERS = {"user-agent", "host", "content-type", "accept"}
FLUSH_SECONDS = 2.0
_CHECK_IN = "preflight_check_in"
_TEXT_LIMIT = 8_192


class TestError(Exception):
    """Raised by nobody's mistake: somebody wanted to see whether errors arrive."""

    __test__ = False


def start() -> None:
    """Connects django-q2's failures, and the SDK when there is a DSN. Called once, when Django is ready."""
    post_execute_in_worker.connect(_mask_result, dispatch_uid="mask-result")
    if not settings.SENTRY_DSN:
        return
    sentry_sdk.init(**build_options(settings.SENTRY_DSN, settings.SENTRY_ENVIRONMENT, settings.SENTRY_RELEASE))
    ignore_logger("django-q")
    worker.error_reporter = TaskReporter()
    if settings.SENTRY_CHECK_INS:
        pre_execute.connect(_begin_check_in, dispatch_uid="begin-check-in")
        post_execute_in_worker.connect(_end_check_in, dispatch_uid="end-check-in")


def build_options(dsn: str, environment: str, release: str) -> dict[str, Any]:
    """The SDK's options: everything that could carry a secret is off, and what is left goes through scrub_event."""
    return {
        "dsn": dsn,
        "environment": environment,
        "release": release or None,
        "send_default_pii": False,
        "max_request_body_size": "never",
        "include_local_variables": False,
        "server_name": "",
        "disabled_integrations": [ArgvIntegration],
        "before_send": scrub_event,
        "before_send_transaction": scrub_event,
        "before_breadcrumb": scrub_crumb,
        "traces_sample_rate": None,
    }


def scrub_event(event: Any, hint: Any) -> Any:
    """The event without queries, cookies, bodies, other headers, people, and with every text masked."""
    request = event.get("request")
    if isinstance(request, Mapping):
        headers = request.get("headers")
        event["request"] = {
            "method": request.get("method"),
            "url": str(request.get("url", "")).partition("?")[0],
            "headers": {
                name: value
                for name, value in (headers.items() if isinstance(headers, Mapping) else ())
                if str(name).lower() in KEPT_HEADERS
            },
        }
    user = event.pop("user", None)
    if isinstance(user, Mapping) and user.get("id"):
        event["user"] = {"id": str(user["id"])}
    event.pop("extra", None)
    event.pop("server_name", None)
    for name, value in list(event.items()):
        # Ids and stack frames' own fields survive masking unchanged.
        event[name] = _mask(value)
    return event


def scrub_crumb(crumb: Any, hint: Any) -> Any:
    """The breadcrumb with its texts masked and without what HTTP clients sent."""
    data = crumb.get("data")
    if isinstance(data, dict):
        crumb["data"] = {name: value for name, value in data.items() if name in {"url", "method", "status_code"}}
    return _mask(crumb)


def send_test_error(who: str) -> str | None:
    """Captures an error as the portal would; returns the event's id, None without a DSN. ``who`` is an account's id."""
    if not settings.SENTRY_DSN:
        return None
    with sentry_sdk.isolation_scope() as scope:
        scope.set_user({"id": who})
        try:
            raise TestError("A test error from Preflight")
        except TestError as error:
            event_id = sentry_sdk.capture_exception(error)
    sentry_sdk.flush(FLUSH_SECONDS)
    return event_id


class TaskReporter:
    """What django-q2 calls inside the except block of a task that failed."""

    def report(self) -> None:
        with sentry_sdk.isolation_scope():
            sentry_sdk.capture_exception()
        # A worker may be recycled right after its task.
        sentry_sdk.flush(FLUSH_SECONDS)


def _mask(value: Any) -> Any:
    if isinstance(value, str):
        return mask_text(value[:_TEXT_LIMIT])
    if isinstance(value, dict):
        return {name: _mask(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_mask(each) for each in value]
    return value


def _mask_result(sender: Any, task: dict[str, Any], **kwargs: Any) -> None:
    """A failed task's result is its exception's text, which people read in the admin."""
    if not task.get("success") and isinstance(task.get("result"), str):
        task["result"] = mask_text(task["result"])


def _begin_check_in(sender: Any, func: Any, task: dict[str, Any], **kwargs: Any) -> None:
    job = _find_job(func)
    if job is not None:
        slug, minutes = job
        config: Any = {"schedule": {"type": "interval", "value": minutes, "unit": "minute"}, "checkin_margin": 5}
        task[_CHECK_IN] = capture_checkin(monitor_slug=slug, status=MonitorStatus.IN_PROGRESS, monitor_config=config)


def _end_check_in(sender: Any, func: Any, task: dict[str, Any], **kwargs: Any) -> None:
    job, check_in = _find_job(func), task.pop(_CHECK_IN, None)
    if job is not None and check_in:
        status = MonitorStatus.OK if task.get("success") else MonitorStatus.ERROR
        capture_checkin(monitor_slug=job[0], check_in_id=check_in, status=status)


def _find_job(func: Callable[..., Any] | str) -> tuple[str, int] | None:
    """(slug, minutes) of the recurring job that ``func`` is; None for every other task."""
    name = func if isinstance(func, str) else f"{getattr(func, '__module__', '')}.{getattr(func, '__name__', '')}"
    return next(
        ((name.replace(".", "-").replace("_", "-"), job.minutes) for job in RECURRING_JOBS if job.func == name), None
    )
