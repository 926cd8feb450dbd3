"""The scenario probe: walks through an application as its users do; judges step by step.

Reads the scenario of the target, writes what its steps write to the application.
"""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from readiness.probes import net
from readiness.probes.base import (
    ErrorReason,
    Finding,
    ProbeResult,
    Status,
    Target,
    TargetError,
    TargetOptions,
    make_error_result,
    mask_secrets,
    worst_status,
)
from readiness.probes.scenarios.model import Scenario, ScenarioError
from readiness.probes.scenarios.outcomes import CookieFact, ScenarioFailure, StepOutcome, Walk
from readiness.probes.scenarios.parser import MAX_DEADLINE_SECONDS, MAX_TEXT_CHARACTERS, parse_scenario
from readiness.probes.scenarios.redaction import Redactor
from readiness.probes.scenarios.references import resolve_base_url, resolve_secrets
from readiness.probes.scenarios.values import Values
from readiness.probes.scenarios.walk import Walker
from readiness.probes.side_by_side import observe_side_by_side

_CLEANUP_SHARE, _MAX_CLEANUP_SECONDS = 0.25, 15.0


@dataclass(frozen=True, slots=True)
class ScenarioObservation:
    """The walks of all users; `missing_secrets` names what was not given, and then nobody walked."""

    walks: tuple[Walk, ...] = ()
    run: str = ""
    missing_secrets: tuple[str, ...] = ()


class ScenarioProbe:
    """Does the application do what its users come for?"""

    kind = "scenario"
    default_timeout_seconds = MAX_DEADLINE_SECONDS  # a scenario names its own deadline

    def parse_target(self, text: str, options: TargetOptions) -> Target:
        """Read the scenario file at the path `text`, and the references in it. Raises TargetError."""
        try:
            with Path(text).open(encoding="utf-8") as file:
                scenario = resolve_base_url(parse_scenario(file.read(MAX_TEXT_CHARACTERS + 1)))
            secrets = resolve_secrets(scenario)
        except OSError as error:
            raise TargetError(f"The scenario file {mask_secrets(text)} cannot be read: {error.strerror}.") from None
        except ScenarioError as error:
            raise TargetError(str(error)) from None
        except ValueError:
            raise TargetError(f"The scenario file {mask_secrets(text)} is not UTF-8 text.") from None
        return make_scenario_target(text, scenario, secrets, options)

    def observe(self, target: Target) -> ScenarioObservation:
        """Walk as many users at the same time as the scenario says; cleanup has time of its own put by."""
        scenario = target.scenario
        if scenario is None:
            return ScenarioObservation()
        missing = tuple(sorted(scenario.secret_names - set(target.secrets)))
        if missing:
            return ScenarioObservation(missing_secrets=missing)
        run = uuid.uuid4().hex[:12]
        seconds = min(target.timeout_seconds, scenario.deadline_seconds)
        put_by = min(_CLEANUP_SHARE * seconds, _MAX_CLEANUP_SECONDS) if scenario.cleanup else 0.0
        door, cleanup_door = (
            net.Door(net.Deadline(each), target.address_policy, target.connect_to, target.ca_pem)
            for each in (seconds - put_by, seconds)
        )
        walks = observe_side_by_side(
            lambda user: make_walker(scenario, target, run, user).walk(door, cleanup_door),
            range(1, scenario.users + 1),
        )
        return ScenarioObservation(walks, run)

    def judge(self, target: Target, observation: ScenarioObservation, now: datetime) -> ProbeResult:
        if observation.missing_secrets:
            text = f"The scenario uses secrets that are not set: {', '.join(observation.missing_secrets)}."
            return make_error_result(self.kind, target.label, ErrorReason.BAD_TARGET, text, "Set them.")
        if target.scenario is None or not observation.walks:
            return make_error_result(self.kind, target.label, ErrorReason.NOTHING_TO_PROBE, "There is no scenario.")
        steps = _group_by_step(observation.walks)
        findings = (*map(_judge_step, steps), _judge_https(target.scenario, observation.walks))
        status = worst_status(finding.status for finding in findings)
        return ProbeResult(
            kind=self.kind,
            target=target.label,
            status=status,
            reason=_find_reason(status, steps),
            findings=findings,
            data=_describe(target.scenario, observation, steps),
        )


def make_scenario_target(label: str, scenario: Scenario, secrets: dict[str, str], options: TargetOptions) -> Target:
    """Make the target of a parsed scenario whose references the caller has resolved."""
    return Target(
        label=label,
        ca_pem=options.ca_pem,
        timeout_seconds=min(options.timeout_seconds, scenario.deadline_seconds),
        connect_to=options.connect_to,
        address_policy=options.address_policy,
        scenario=scenario,
        secrets=secrets,
    )


def make_walker(scenario: Scenario, target: Target, run: str, user: int) -> Walker:
    """Make one user who knows the run, the secrets and the variables."""
    values = Values({"user": user, "run": run, **{f"secret.{name}": each for name, each in target.secrets.items()}})
    for name, text in scenario.variables:
        values.known[name] = values.fill(text)
        values.author_names.add(name)
    values.author_names |= {"user", "run"}
    return Walker(scenario, user, values, Redactor(target.secrets.values()))


def _group_by_step(walks: Sequence[Walk]) -> list[tuple[StepOutcome, ...]]:
    """Return for each step the outcomes of all users."""
    return list(zip(*(walk.outcomes for walk in walks), strict=True))


def _judge_step(outcomes: tuple[StepOutcome, ...]) -> Finding:
    """Judge one step: a failed cleanup only warns, for what was to be proven has been proven."""
    first = outcomes[0]
    name = f"{'cleanup' if first.is_cleanup else 'step'}-{_slug(first.name)}"
    worst = _pick_worst(outcomes)
    status = _finding_status(worst)
    if status in (Status.PASS, Status.SKIPPED):
        return Finding(name, status, _sum_up(worst, outcomes))
    fix = (
        "Remove by hand what the scenario left behind, then look into why this step fails."
        if first.is_cleanup
        else "Do this step by hand to see what users see, and look into the application's log at this time."
    )
    return Finding(name, status, _sum_up(worst, outcomes), worst.transcript, fix)


def _pick_worst(outcomes: tuple[StepOutcome, ...]) -> StepOutcome:
    wanted = worst_status(outcome.status for outcome in outcomes)
    alike = [outcome for outcome in outcomes if outcome.status is wanted]
    return max(alike, key=lambda outcome: outcome.duration_ms)


def _finding_status(worst: StepOutcome) -> Status:
    return Status.WARN if worst.is_cleanup and worst.status in (Status.FAIL, Status.ERROR) else worst.status


def _sum_up(worst: StepOutcome, outcomes: tuple[StepOutcome, ...]) -> str:
    if len(outcomes) == 1 or worst.status is Status.SKIPPED:
        return worst.text
    if worst.status is Status.PASS:
        return f"{worst.name}: all {len(outcomes)} users passed, the slowest after {worst.duration_ms:.0f} ms."
    count = sum(outcome.status is worst.status for outcome in outcomes)
    return f"{count} of {len(outcomes)} users: {worst.text}"


def _judge_https(scenario: Scenario, walks: Sequence[Walk]) -> Finding:
    plain = list(dict.fromkeys(url for walk in walks for url in walk.plain_urls))
    if not plain:
        return Finding("https", Status.PASS, "Every request went over HTTPS.")
    status = Status.WARN if scenario.is_http_allowed else Status.FAIL
    fix = "Serve this address over HTTPS and name it with https:// wherever the application refers to it."
    return Finding("https", status, f"{plain[0]} is plain HTTP.", "\n".join(plain[:10]), fix)


def _find_reason(status: Status, steps: Sequence[tuple[StepOutcome, ...]]) -> str | None:
    """Name the reason of the first step that made the status what it is."""
    if status not in (Status.FAIL, Status.ERROR):
        return None
    found = (outcome.reason for outcomes in steps for outcome in outcomes if _finding_status(outcome) is status)
    return next(found, ScenarioFailure.NOT_HTTPS)


def _describe(
    scenario: Scenario, observation: ScenarioObservation, steps: Sequence[tuple[StepOutcome, ...]]
) -> dict[str, Any]:
    facts = dict.fromkeys(fact for walk in observation.walks for fact in walk.cookies)
    return {
        "name": scenario.name,
        "run": observation.run,
        "users": scenario.users,
        "steps": [_describe_step(outcomes) for outcomes in steps],
        "cookies": [_describe_cookie(fact) for fact in facts],
        "requests": sum(walk.requests for walk in observation.walks),
        "all_https": not any(walk.plain_urls for walk in observation.walks) and _sent_any(observation.walks),
    }


def _sent_any(walks: Sequence[Walk]) -> bool:
    return any(walk.requests for walk in walks)


def _describe_step(outcomes: tuple[StepOutcome, ...]) -> dict[str, Any]:
    worst = _pick_worst(outcomes)
    return {
        "name": worst.name,
        "cleanup": worst.is_cleanup,
        "status": worst.status.value,
        "reason": None if worst.reason is None else str(worst.reason),
        "duration_ms": round(max(outcome.duration_ms for outcome in outcomes)),
        "status_code": worst.status_code,
        "users_not_passed": sum(outcome.status is not Status.PASS for outcome in outcomes),
    }


def _describe_cookie(fact: CookieFact) -> dict[str, Any]:
    return {
        "name": fact.name,
        "host": fact.host,
        "secure": fact.secure,
        "httponly": fact.http_only,
        "samesite": fact.same_site or None,
        "max_age": fact.max_age_seconds,
        "step": fact.step,
        "sign_in": fact.is_sign_in,
    }


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unnamed"
