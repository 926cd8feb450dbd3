"""What the portal's own errors carry: planted secrets never leave, in events, logs or results of tasks."""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q import worker
from django_q.signals import post_execute_in_worker, pre_execute
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from portal import error_reporting
from portal.jobs import RECURRING_JOBS
from portal.masking import MaskingFormatter, mask_text
from readiness.alerts.incidents import open_alert
from readiness.alerts.send import send_due
from readiness.models import AlertRule, Channel, Environment
from tests.servers.receiver import Mailbox

DSN = "https://planted-key@tracker.example.org/1"
PLANTED = (
    "planted-password",
    "planted-token",
    "planted-cookie",
    "planted-person",
    "planted-argv",
    "planted-bearer",
    "planted-header",
    "planted-referer",
    "planted-key",
)


class Kept(Transport):
    """Keeps envelopes in memory instead of sending them."""

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__(options)
        self.envelopes: list[Envelope] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope)

    def read(self) -> str:
        return "\n".join(envelope.serialize().decode("utf-8", "replace") for envelope in self.envelopes)


@pytest.fixture
def kept(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    """The SDK as the portal starts it, with a transport of ours."""
    transport = Kept()
    real = sentry_sdk.init
    settings.SENTRY_DSN, settings.SENTRY_ENVIRONMENT, settings.SENTRY_RELEASE = DSN, "staging", "preflight@1.2"
    monkeypatch.setattr(sys, "argv", ["manage.py", "--dsn=postgresql://u:planted-argv@db/x"])
    monkeypatch.setattr(worker, "error_reporter", None)
    monkeypatch.setattr(sentry_sdk, "init", lambda **options: real(transport=transport, **options))
    error_reporting.start()
    yield transport
    pre_execute.disconnect(dispatch_uid="begin-check-in")
    post_execute_in_worker.disconnect(dispatch_uid="end-check-in")
    real()


def post_through_wsgi(path: str, query: str, body: bytes) -> int:
    """One POST through Django's WSGI handler, as a server makes it; returns the status."""
    statuses: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_COOKIE": "sessionid=planted-cookie",
        "HTTP_AUTHORIZATION": "Bearer planted-bearer",
        "HTTP_X_API_KEY": "planted-header",
        "HTTP_REFERER": "http://localhost/?next=planted-referer",
        "HTTP_USER_AGENT": "a browser",
        "HTTP_HOST": "localhost",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
    }

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
        statuses.append(status)
        return len

    # A server's handler would close the connection that the test's transaction is on.
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        answer = WSGIHandler()(environ, start_response)
        list(answer)
        answer.close()
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)
    return int(statuses[0].split()[0])


@pytest.mark.django_db
def test_it_sends_no_planted_secret(kept: Kept, settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.portal.error_urls"
    body = b"password=planted-password&email=planted-person%40example.org"

    assert post_through_wsgi("/fail/", "token=planted-token", body) == 500

    sent = kept.read()
    assert "RuntimeError" in sent
    assert '"environment":"staging"' in sent
    assert '"release":"preflight@1.2"' in sent
    assert "a browser" in sent
    assert [secret for secret in PLANTED if secret in sent.replace(DSN, "")] == []


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the handler of the settings writes."""
    (handler,) = (
        one
        for one in logging.getLogger().handlers
        if isinstance(one, logging.StreamHandler) and isinstance(one.formatter, MaskingFormatter)
    )
    written = io.StringIO()
    before = handler.setStream(written)
    yield written
    handler.setStream(before)


@pytest.mark.django_db
def test_it_logs_no_planted_secret(kept: Kept, settings: Any, log: io.StringIO) -> None:
    settings.ROOT_URLCONF = "tests.portal.error_urls"
    body = b"password=planted-password&email=planted-person%40example.org"

    post_through_wsgi("/fail/", "token=planted-token", body)

    assert "RuntimeError: cannot mail ***@***" in log.getvalue()
    assert [secret for secret in PLANTED if secret in log.getvalue()] == []


@pytest.mark.django_db
def test_it_tells_people_no_planted_secret(mailbox: Mailbox) -> None:
    """What the portal's own exception said, as a tracker would hand it back to an alert."""
    shop = Environment.objects.create(name="Shop", slug="shop")
    channel = Channel.objects.create(name="ops", kind="email", address="ops@example.org")
    rule = AlertRule.objects.create(name="errors", kind="new_issue")
    rule.channels.add(channel)
    text = (
        "RuntimeError: cannot mail planted-person@example.org, see https://x.example.org/?token=planted-token, "
        "postgresql://u:planted-argv@db/x, Cookie: sessionid=planted-cookie, password=planted-password"
    )
    open_alert(rule, shop, "issue:1", text, timezone.now(), {"title_de": text, "browsers": [text], "project": text})

    assert send_due() == 1

    mail = mailbox.messages[0]
    said = mail["Subject"] + "".join(part.get_content() for part in mail.iter_parts())
    assert "RuntimeError: cannot mail ***@***" in said
    assert [secret for secret in PLANTED if secret in said] == []


def test_it_reports_a_failed_task_and_masks_its_result(kept: Kept) -> None:
    text = "Client error at postgresql://u:planted-password@db/x for planted-person@example.org"
    try:
        raise RuntimeError(text)
    except RuntimeError:
        worker.error_reporter.report()
    task = {"success": False, "result": text, "name": "blue-fox"}
    post_execute_in_worker.send(sender="django_q", func=print, task=task)

    assert "RuntimeError" in kept.read()
    for shown in (kept.read(), task["result"]):
        assert [secret for secret in PLANTED if secret in str(shown).replace(DSN, "")] == []


def test_it_checks_in_for_recurring_jobs_only(kept: Kept) -> None:
    task: dict[str, Any] = {"success": True}
    pre_execute.send(sender="django_q", func=RECURRING_JOBS[0].func, task=task)
    post_execute_in_worker.send(sender="django_q", func=RECURRING_JOBS[0].func, task=task)
    pre_execute.send(sender="django_q", func="portal.jobs.beat", task={})

    assert kept.read().count('"check_in_id"') == 2
    assert '"monitor_slug":"readiness-tasks-tick"' in kept.read()
    assert set(task) == {"success"}


def test_it_reduces_people_to_an_id(kept: Kept) -> None:
    with sentry_sdk.isolation_scope() as scope:
        scope.set_user({"id": 7, "email": "planted-person@example.org", "ip_address": "203.0.113.9"})
        scope.add_breadcrumb(category="http", data={"url": "https://x.example.org/a?token=planted-token", "body": "x"})
        sentry_sdk.capture_message("hello")

    assert '"user":{"id":"7"}' in kept.read()
    assert "203.0.113.9" not in kept.read()
    assert "planted" not in kept.read().replace(DSN, "").replace("planted-key", "")


@pytest.mark.django_db
def test_it_sends_a_test_error_from_the_page(kept: Kept, ada: User, sign_in: Callable[[User], Client]) -> None:
    answer = sign_in(ada).post(reverse("test_error"), follow=True)

    assert "is on its way" in answer.content.decode()
    assert "A test error from Preflight" in kept.read()


@pytest.mark.django_db
def test_it_says_that_errors_go_nowhere(ada: User, sign_in: Callable[[User], Client]) -> None:
    assert "SENTRY_DSN is not set" in sign_in(ada).post(reverse("test_error"), follow=True).content.decode()


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://u:pw@db:5432/x", "postgresql://***@db:5432/x"),
        ("see https://x.example.org/a?token=1&b=2 now", "see https://x.example.org/a?*** now"),
        ("<WSGIRequest: POST '/x/?token=1'>", "<WSGIRequest: POST '/x/?***'>"),
        ("password=hunter2, user=me", "password=***, user=me"),
        ('{"api_key": "abc"}', '{"api_key": "***"}'),
        ("mail somebody@example.org", "mail ***@***"),
        ("Authorization: Bearer abc.def", "Authorization: *** ***"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: *** ***"),
        ("password='two words' for 'me'", "password='***' for 'me'"),
        ('passphrase: "breaks off in the mid', 'passphrase: "***'),
        ("SECRET_KEY=abc client_secret=def", "SECRET_KEY=*** client_secret=***"),
        ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_-1", "got ***"),
        ("with ghp_0123456789abcdefghij", "with ghp_***"),
        ("sent with ghp_16C7e42F292c6912E7710c838347Ae178B4a", "sent with ghp_***"),
        ("sealed eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "sealed ***"),
        ("nothing to hide in 3 of 4 rows", "nothing to hide in 3 of 4 rows"),
    ],
)
def test_it_masks_text(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@pytest.mark.parametrize("part", ["a", "a-", "a.", "x://", "eyJ-", "password ", "password=' ", "@a.", "Request: A '"])
def test_it_masks_long_texts_in_no_time(part: str) -> None:
    """Exception texts are as long as whoever causes them wants, and a worker waits for each."""
    started = time.perf_counter()
    mask_text(part * (60_000 // len(part)))

    assert time.perf_counter() - started < 3


def test_it_masks_logs_with_their_tracebacks() -> None:
    try:
        raise ValueError("token=planted-token")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "for %s", ("a@example.org",), sys.exc_info())

    line = MaskingFormatter("%(message)s").format(record)

    assert "planted-token" not in line
    assert "a@example.org" not in line
    assert "ValueError" in line
