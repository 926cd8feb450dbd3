"""Reads Sentry's alert rules, new and old; answers which of the four that a go-live wants are there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from readiness.trackers.base import RULE_KEYS, read_count

RATE_AT_MOST = 10
_MINUTE = {"1m", "1min"}


def read_workflows(workflows: Sequence[Mapping[str, Any]]) -> dict[str, bool | None]:
    """For each of RULE_KEYS, whether an enabled workflow with an action covers it."""
    found: set[str] = set()
    for workflow in workflows:
        if workflow.get("enabled") is False:
            continue
        filters = [one for one in workflow.get("actionFilters") or [] if isinstance(one, Mapping)]
        if not any(action.get("status", "active") == "active" for one in filters for action in _maps(one, "actions")):
            continue
        triggers = workflow.get("triggers")
        conditions = _maps(triggers, "conditions") if isinstance(triggers, Mapping) else []
        found |= _read_conditions([*conditions, *(each for one in filters for each in _maps(one, "conditions"))])
    return {key: key in found for key in RULE_KEYS}


def read_legacy_rules(rules: Sequence[Mapping[str, Any]]) -> dict[str, bool | None]:
    """The same for rules of a project, as older Sentries have them."""
    found: set[str] = set()
    for rule in rules:
        if rule.get("status", "active") != "active" or not rule.get("actions"):
            continue
        for condition in (*_maps(rule, "conditions"), *_maps(rule, "filters")):
            name = str(condition.get("id", "")).rpartition(".")[2]
            if name == "FirstSeenEventCondition":
                found.add("new_issue")
            elif name == "EventFrequencyCondition":
                found |= _judge_rate(condition.get("value"), condition.get("interval"))
            elif name == "EventAttributeFilter":
                found |= _judge_text(condition.get("value"))
            elif name == "TaggedEventFilter":
                found |= _judge_tag(condition.get("key"))
    return {key: key in found for key in RULE_KEYS}


def _read_conditions(conditions: Iterable[Mapping[str, Any]]) -> set[str]:
    found: set[str] = set()
    for condition in conditions:
        comparison = condition.get("comparison")
        values = comparison if isinstance(comparison, Mapping) else {}
        kind = condition.get("type")
        if kind == "first_seen_event":
            found.add("new_issue")
        elif kind == "event_frequency_count":
            found |= _judge_rate(values.get("value"), values.get("interval"))
        elif kind == "event_attribute":
            found |= _judge_text(values.get("value"))
        elif kind == "tagged_event":
            found |= _judge_tag(values.get("key"))
    return found


def _judge_rate(value: Any, interval: Any) -> set[str]:
    count = read_count(value)
    return {"error_rate"} if count is not None and count <= RATE_AT_MOST and interval in _MINUTE else set()


def _judge_text(value: Any) -> set[str]:
    return {"database"} if "database" in str(value).lower() else set()


def _judge_tag(key: Any) -> set[str]:
    return {"auth_failure"} if key == "auth-failure" else set()


def _maps(holder: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = holder.get(key)
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
