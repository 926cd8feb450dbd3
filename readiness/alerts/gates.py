"""Notices when the verdict of an environment falls, from GO or from CONDITIONAL; sole writer of GateSeen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction

from readiness.alerts.conditions import list_applicable
from readiness.alerts.incidents import open_alert, resolve_alert
from readiness.alerts.messages import link_to
from readiness.checklists.assessment import Assessment
from readiness.checklists.gate import Verdict
from readiness.models import AlertRule, GateSeen

_FROM_WORST = (Verdict.NO_GO, Verdict.CONDITIONAL, Verdict.GO)


def evaluate_gates(rules: Sequence[AlertRule], assessments: Mapping[int, Assessment], now: datetime) -> None:
    """Compares each verdict with the one before; the memory moves in the transaction that opens the alert."""
    seen = dict(GateSeen.objects.filter(environment_id__in=list(assessments)).values_list("environment_id", "verdict"))
    for environment_id, assessment in assessments.items():
        verdict = assessment.decision.verdict
        if seen.get(environment_id) == verdict.value:
            continue
        before = Verdict(seen[environment_id]) if environment_id in seen else None
        with transaction.atomic():
            GateSeen.objects.update_or_create(
                environment=assessment.environment, defaults={"verdict": verdict.value, "seen_at": now}
            )
            for rule in list_applicable(rules, environment_id):
                _compare(rule, assessment, before, now)


def _compare(rule: AlertRule, assessment: Assessment, before: Verdict | None, now: datetime) -> None:
    """Each level that it may fall to is a subject of its own: back at CONDITIONAL, it is no longer NO-GO."""
    verdict, environment = assessment.decision.verdict, assessment.environment
    for level in _FROM_WORST[: _FROM_WORST.index(verdict)]:
        resolve_alert(rule, environment, f"gate:{level.value}", now)
    if before is None or _FROM_WORST.index(verdict) > _FROM_WORST.index(before):
        return
    count = len(assessment.decision.blockers or assessment.decision.reasons)
    facts = {
        "title_de": f"{verdict.value} statt {before.value}: {count} {'Grund' if count == 1 else 'Gründe'}",
        "link": link_to("environment", environment.slug),
    }
    title = f"{verdict.value}, was {before.value}: {count} {'reason' if count == 1 else 'reasons'}"
    open_alert(rule, environment, f"gate:{verdict.value}", title, now, facts)
