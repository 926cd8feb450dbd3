"""What a walk through a scenario leaves behind: frozen values, which read and write nothing."""

from dataclasses import dataclass
from enum import StrEnum

from readiness.probes.base import Status


class ScenarioFailure(StrEnum):
    """Why a scenario failed although the application answered."""

    UNEXPECTED_ANSWER = "unexpected_answer"
    NOTHING_CAPTURED = "nothing_captured"
    NEVER_BECAME_TRUE = "never_became_true"
    NOT_HTTPS = "not_https"
    NO_VALUE = "no_value"
    BAD_STEP = "bad_step"


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What one step did for one user; `text` is one sentence and `transcript` the exchange, both without secrets."""

    name: str
    status: Status
    text: str
    reason: str | None = None
    transcript: str = ""
    duration_ms: float = 0.0
    status_code: int | None = None
    is_cleanup: bool = False


@dataclass(frozen=True, slots=True)
class CookieFact:
    """A cookie as it was set; `same_site` "" and `max_age_seconds` None where the server says nothing."""

    name: str
    host: str
    secure: bool
    http_only: bool
    same_site: str
    max_age_seconds: int | None
    step: str
    is_sign_in: bool


@dataclass(frozen=True, slots=True)
class Walk:
    """The outcomes of one user, in the order of the steps, cleanup last."""

    user: int
    outcomes: tuple[StepOutcome, ...]
    cookies: tuple[CookieFact, ...] = ()
    requests: int = 0
    plain_urls: tuple[str, ...] = ()
    """Addresses over plain HTTP that were asked, or would have been."""
