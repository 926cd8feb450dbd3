"""What comes from outside: sole writer of PostedFact and Deploy rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime

from django.db import transaction

from portal import audit
from portal.masking import mask_text
from readiness.checklists import workflow
from readiness.models import Deploy, Environment, PostedFact

RELEASE_LENGTH = 200
MOST_FACTS = 200
MOST_BITS = 1_000_000
SETTING, SECRET_BITS, PROVIDER = "setting", "secret_bits", "schema_provider"
_NAME = re.compile(r"(?:(setting|secret_bits)\.[A-Za-z_][A-Za-z0-9_]{0,99}|schema_provider)")
_PROVIDERS = ("cockroachdb", "mongodb", "mysql", "postgres", "postgresql", "sqlite", "sqlserver")
_GRAMMAR = (
    "facts are setting.NAME=set or =missing, secret_bits.NAME=a number, and schema_provider=one of "
    f"{', '.join(_PROVIDERS)}; never a value"
)


class OutsideError(Exception):
    """What came from outside cannot be taken; the message is one sentence that repeats no value."""


def post_facts(environment: Environment, facts: Mapping[str, object], *, by: str, now: datetime) -> list[PostedFact]:
    """Keeps facts by name, each in the place of what was known. All or none: raises OutsideError for a bad one."""
    if not facts:
        raise OutsideError(f"There is no fact to keep: {_GRAMMAR}.")
    if len(facts) > MOST_FACTS:
        raise OutsideError(f"At most {MOST_FACTS} facts are taken at once.")
    read = {name: _read_fact(name, value) for name, value in facts.items()}
    with transaction.atomic():
        kept = [
            PostedFact.objects.update_or_create(
                environment=environment, name=name, defaults={"value": value, "posted_at": now, "posted_by": by}
            )[0]
            for name, value in sorted(read.items())
        ]
        audit.record(
            "posted facts about",
            actor_name=by,
            environment=environment,
            subject=str(environment),
            detail={"names": sorted(read)},
        )
    return kept


def forget_facts(environment: Environment, names: Collection[str], *, by: str) -> int:
    """Forgets facts by name, for settings that there are no more; returns how many. Raises OutsideError for unknown."""
    known = PostedFact.objects.filter(environment=environment, name__in=names)
    with transaction.atomic():
        found = set(known.values_list("name", flat=True))
        if unknown := sorted(set(names) - found):
            raise OutsideError(f"Nothing of that name was posted: {', '.join(map(_shown, unknown))}.")
        known.delete()
        audit.record(
            "forgot facts about",
            actor_name=by,
            environment=environment,
            subject=str(environment),
            detail={"names": sorted(found)},
        )
    return len(found)


def record_deploy(environment: Environment, release: str, *, by: str, now: datetime) -> tuple[Deploy, int]:
    """Keeps that a release went out, and turns stale what was claimed about the one before it; returns how many.

    Raises OutsideError for a release without a name, and for one that holds a secret: it would be kept for good.
    """
    release = release.strip()
    if not release or len(release) > RELEASE_LENGTH or not release.isprintable():
        raise OutsideError(f"A release has a name of 1 to {RELEASE_LENGTH} characters.")
    if mask_text(release) != release:
        raise OutsideError("This looks like a secret or an address, not like a release; send a tag or a commit.")
    with transaction.atomic():
        deploy = Deploy.objects.create(environment=environment, release=release, at=now, recorded_by=by)
        aged = workflow.age_for_deploy(environment, release)
        audit.record("deployed", actor_name=by, environment=environment, subject=release, detail={"stale": aged})
    return deploy, aged


def _read_fact(name: str, value: object) -> object:
    found = _NAME.fullmatch(name) if isinstance(name, str) else None
    if found is None or mask_text(name) != name:
        raise OutsideError(f"{_shown(name)} is no fact: {_GRAMMAR}.")
    kind = found[1] or PROVIDER
    if kind == SETTING:
        word = {True: "set", False: "missing"}.get(value) if isinstance(value, bool) else value
        if word in ("set", "missing"):
            return word == "set"
    elif kind == SECRET_BITS:
        bits = int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,7}", value) else value
        if isinstance(bits, int) and not isinstance(bits, bool) and 0 <= bits <= MOST_BITS:
            return bits
    elif isinstance(value, str) and value.lower() in _PROVIDERS:
        return value.lower()
    raise OutsideError(f"The value of {name} was not taken: {_GRAMMAR}.")


def _shown(name: object) -> str:
    """A name as it may be repeated: somebody may have put a secret in its place."""
    return repr(name) if isinstance(name, str) and re.fullmatch(r"[A-Za-z_.]{1,40}", name) else "What was posted"
