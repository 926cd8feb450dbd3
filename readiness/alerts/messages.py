"""Words one message about alerts, or to one person, in English or German, as text and HTML; reads settings only.

Titles and figures come from probes, trackers and tools: whatever looks like a secret in them is masked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core import signing
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join

from portal.masking import mask_text
from readiness.alerts.kinds import KINDS
from readiness.models import Alert, NoticeSettings, Notification

ACKNOWLEDGE_SALT = "readiness.alerts.acknowledge"
ACKNOWLEDGE_DAYS = 14
_TOLD_FACTS = ("project", "first_seen", "users", "events_last_hour", "browsers")

WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "opened": "New",
        "resolved": "Resolved",
        "escalated": "Nobody has acknowledged this",
        "reminder": "Still open",
        "test": "Test",
        "channel": "Notice",
        "assigned": "Assigned to you",
        "mentioned": "You are mentioned",
        "approval": "Waits for your approval",
        "overdue": "Overdue",
        "weekly": "Weekly",
        "more": "and {count} more",
        "environment": "Environment",
        "severity": "Severity",
        "critical": "critical",
        "warning": "warning",
        "info": "information",
        "rule": "Rule",
        "project": "Project",
        "since": "Since",
        "first_seen": "First seen",
        "users": "Users",
        "events_last_hour": "Events in the last hour",
        "browsers": "Browsers",
        "link": "Look at it",
        "acknowledge": "Acknowledge",
        "unknown": "unknown",
        "test_text": "This is a test from Preflight. Messages arrive here.",
    },
    "de": {
        "opened": "Neu",
        "resolved": "Behoben",
        "escalated": "Niemand hat das bestätigt",
        "reminder": "Weiterhin offen",
        "test": "Test",
        "channel": "Hinweis",
        "assigned": "Dir zugewiesen",
        "mentioned": "Du bist erwähnt",
        "approval": "Wartet auf deine Freigabe",
        "overdue": "Überfällig",
        "weekly": "Wochenbericht",
        "more": "und {count} weitere",
        "environment": "Umgebung",
        "severity": "Schwere",
        "critical": "kritisch",
        "warning": "Warnung",
        "info": "Hinweis",
        "rule": "Regel",
        "project": "Projekt",
        "since": "Seit",
        "first_seen": "Zuerst gesehen",
        "users": "Betroffene",
        "events_last_hour": "Ereignisse in der letzten Stunde",
        "browsers": "Browser",
        "link": "Ansehen",
        "acknowledge": "Bestätigen",
        "unknown": "unbekannt",
        "test_text": "Dies ist ein Test von Preflight. Nachrichten kommen hier an.",
    },
}


@dataclass(frozen=True)
class Message:
    """What a channel is given. ``key`` is the same for every attempt; ``severity`` is info, warning or critical."""

    key: str
    subject: str
    text: str
    html: str
    severity: str
    data: Mapping[str, Any]


def compose_message(notifications: Sequence[Notification], now: datetime) -> Message:
    """One message for notifications to the same receiver for the same reason; wants all they lead to loaded."""
    first = notifications[0]
    language = read_language(first)
    words = WORDS.get(language, WORDS["en"])
    parts = [_describe(one, words, language) for one in notifications]
    titles = [title for title, _ in parts]
    subject = f"[{words.get(first.reason, first.reason)}] {titles[0]}"
    if len(titles) > 1:
        subject += f" ({words['more'].format(count=len(titles) - 1)})"
    alert = first.alert
    return Message(
        key=first.key,
        # A line break in a title would be another header.
        subject=" ".join(subject.split())[:200],
        text="\n\n".join("\n".join([title, *(f"{label}: {value}" for label, value in lines)]) for title, lines in parts)
        + "\n",
        html=str(format_html_join("\n", "{}", ((_as_html(title, lines),) for title, lines in parts))),
        severity=alert.rule.severity if alert is not None else "info",
        data={
            "key": first.key,
            "reason": first.reason,
            "sent_at": now.isoformat(),
            "alerts": [_as_data(one) for one in notifications],
        },
    )


def read_language(notification: Notification) -> str:
    """The channel's language or the person's."""
    if notification.channel is not None:
        return notification.channel.language
    assert notification.person is not None  # noqa: S101  the table's constraint
    try:
        return str(notification.person.notice_settings.language)
    except NoticeSettings.DoesNotExist:
        return "en"


def link_to(name: str, *arguments: object) -> str:
    """The whole address of one of the portal's pages."""
    return f"{settings.SITE_URL}{reverse(name, args=arguments)}"


def acknowledge_url(alert: Alert) -> str:
    """The signed link with which whoever got the message says that they have seen it."""
    token = signing.dumps(alert.pk, salt=ACKNOWLEDGE_SALT)
    return link_to("acknowledge_by_link", token)


def read_acknowledge_token(token: str) -> int | None:
    """The alert's id behind a signed link; None when it is not ours or too old."""
    try:
        found = signing.loads(token, salt=ACKNOWLEDGE_SALT, max_age=ACKNOWLEDGE_DAYS * 86_400)
    except signing.BadSignature:
        return None
    return found if isinstance(found, int) else None


def _describe(notification: Notification, words: Mapping[str, str], language: str) -> tuple[str, list[tuple[str, str]]]:
    """The title and (label, value) pairs; the labels of what follows a person's notice are in its facts."""
    alert = notification.alert
    if alert is None:
        title = str(_in_language(notification.facts, "title", language) or words["test_text"])
        told = _in_language(notification.facts, "lines", language) or []
        lines = [(str(label), mask_text(str(value))) for label, value in told]
        if notification.facts.get("link"):
            lines.append((words["link"], notification.facts["link"]))
        return _on_one_line(title), lines
    environment = alert.environment.name if alert.environment is not None else ""
    kind = KINDS.get(alert.rule.kind)
    rule = alert.rule.name
    if kind is not None and rule == kind.title:
        rule = kind.title_de if language == "de" else kind.title
    lines = [(words["environment"], environment), (words["severity"], words.get(alert.rule.severity, ""))]
    lines += [(words["rule"], rule), (words["since"], _word_time(alert.opened_at))]
    for name in ("project", "first_seen", "users", "events_last_hour", "browsers"):
        if name not in alert.facts:
            continue
        value = alert.facts[name]
        if name == "first_seen":
            value = _word_time(datetime.fromisoformat(value))
        elif isinstance(value, list):
            value = ", ".join(value)
        lines.append((words[name], words["unknown"] if value in (None, "") else _on_one_line(str(value))))
    if alert.facts.get("link"):
        lines.append((words["link"], alert.facts["link"]))
    if alert.acknowledged_at is None and notification.reason != "resolved":
        lines.append((words["acknowledge"], acknowledge_url(alert)))
    title = str(_in_language({"title": alert.title, **alert.facts}, "title", language))
    return f"{environment}: {_on_one_line(title)}", lines


def _on_one_line(text: str) -> str:
    """Masked, and without line breaks and control characters: else a title could pass for lines of the message."""
    return " ".join("".join(each if each.isprintable() else " " for each in mask_text(text)).split())


def _in_language(facts: Mapping[str, Any], name: str, language: str) -> Any:
    """What ``facts`` say in that language, else in English."""
    return facts.get(f"{name}_{language}") or facts.get(name)


def _as_html(title: str, lines: Sequence[tuple[str, str]]) -> str:
    rows = format_html_join("", "<tr><th align=left>{}</th><td>{}</td></tr>", ((k, _linked(v)) for k, v in lines))
    return format_html("<h2>{}</h2><table>{}</table>", title, rows)


def _linked(value: str) -> str:
    # Only links that the portal made itself; whatever a tracker said stays text.
    if settings.SITE_URL and value.startswith(f"{settings.SITE_URL}/"):
        return format_html('<a href="{}">{}</a>', value, value)
    return value


def _as_data(notification: Notification) -> dict[str, Any]:
    alert = notification.alert
    if alert is None:
        return {"title": mask_text(str(notification.facts.get("title", "")))}
    return {
        "id": alert.pk,
        "rule": alert.rule.kind,
        "severity": alert.rule.severity,
        "environment": alert.environment.slug if alert.environment is not None else None,
        "subject": alert.subject,
        "title": mask_text(alert.title),
        "opened_at": alert.opened_at.isoformat(),
        "resolved_at": alert.resolved_at.isoformat() if alert.resolved_at else None,
        **{name: _mask(alert.facts[name]) for name in _TOLD_FACTS if name in alert.facts},
        **({"link": alert.facts["link"]} if "link" in alert.facts else {}),
    }


def _mask(value: Any) -> Any:
    if isinstance(value, list):
        return [_mask(one) for one in value]
    return mask_text(value) if isinstance(value, str) else value


def _word_time(at: datetime) -> str:
    return timezone.localtime(at).strftime("%Y-%m-%d %H:%M %Z")
