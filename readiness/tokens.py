"""Tokens of programs: sole writer of ApiToken rows. A token is shown once, when it is made; only its hash is kept."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Q

from readiness.models import ApiToken, Environment

PREFIX = "pf_"
_SECRET_BYTES = 32
# A pipeline that asks every few seconds need not write every few seconds.
_USE_NOTED_AFTER = timedelta(minutes=1)


@dataclass(frozen=True)
class MadeToken:
    """The row, and the token itself, which nobody can read again."""

    token: ApiToken
    secret: str


def make_token(
    name: str,
    scopes: Sequence[str],
    *,
    environment: Environment | None,
    by: AbstractBaseUser,
    now: datetime,
    expires_at: datetime | None = None,
) -> MadeToken:
    """Makes a token for one environment, or for all."""
    secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    token = ApiToken.objects.create(
        name=name,
        scopes=list(scopes),
        environment=environment,
        sha256=_digest(secret),
        hint=secret[: len(PREFIX) + 4],
        created_at=now,
        created_by_id=by.pk,
        expires_at=expires_at,
    )
    return MadeToken(token, secret)


def revoke_token(pk: int, now: datetime) -> bool:
    """Ends a token for good; whether it was still good."""
    return ApiToken.objects.filter(pk=pk, revoked_at=None).update(revoked_at=now) == 1


def find_token(secret: str, now: datetime) -> ApiToken | None:
    """The token that this is, if it is still good; notes that it was used."""
    token = (
        ApiToken.objects.select_related("environment")
        .filter(Q(expires_at=None) | Q(expires_at__gt=now), sha256=_digest(secret), revoked_at=None)
        .first()
    )
    if token is not None and (token.last_used_at is None or now - token.last_used_at > _USE_NOTED_AFTER):
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def is_allowed(token: ApiToken, scope: str, environment: Environment) -> bool:
    """Whether the token may do that, there."""
    return scope in token.scopes and token.environment_id in (None, environment.pk)


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
