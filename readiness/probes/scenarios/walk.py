"""Walks one user through a scenario: sends its steps through `net`, keeps cookies and values; gives outcomes."""

import dataclasses
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from readiness.probes import net
from readiness.probes.base import FailReason, Status, status_of_reason
from readiness.probes.http_client import MAX_BODY_BYTES, MAX_REDIRECTS, redirect_location, send_request
from readiness.probes.scenarios.answers import Answered, UnreadableError
from readiness.probes.scenarios.checks import capture_value, check_answer
from readiness.probes.scenarios.cookies import Cookie, CookieJar, is_other_site
from readiness.probes.scenarios.model import Scenario, Step
from readiness.probes.scenarios.outcomes import CookieFact, ScenarioFailure, StepOutcome, Walk
from readiness.probes.scenarios.redaction import Redactor
from readiness.probes.scenarios.requests import Request, build_request, origin_of
from readiness.probes.scenarios.values import MissingValueError, RequestError, Values, show_value

_MIN_MASKED_CHARACTERS = 4  # shorter cookies and captured values ("1", "de") are no secrets and would blacken the text
_BODY_BUDGET_BYTES = 32 * 1024 * 1024
_KEPT_ACROSS_ORIGINS = frozenset({"accept", "accept-language", "user-agent"})


class StepError(Exception):
    """A step did not do what it should; `reason` is a code, the text a sentence that may hold secrets."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(slots=True)
class Walker:
    """One user on the way: what was set, captured and said so far."""

    scenario: Scenario
    user: int
    values: Values
    redactor: Redactor
    jar: CookieJar = field(default_factory=CookieJar)
    cookies: dict[tuple[str, str, bool], CookieFact] = field(default_factory=dict)
    plain_urls: list[str] = field(default_factory=list)
    requests: int = 0
    transcript: list[str] = field(default_factory=list)
    last_status: int | None = None

    def walk(self, door: net.Door, cleanup_door: net.Door) -> Walk:
        """Take the steps until one fails, then the cleanup steps, whatever happened before."""
        outcomes: list[StepOutcome] = []
        try:
            for step in self.scenario.steps:
                outcomes.append(self._take_step(step, door))
                if outcomes[-1].status is not Status.PASS:
                    break
        finally:
            cleaned = [self._take_cleanup_step(step, cleanup_door) for step in self.scenario.cleanup]
        outcomes += [
            StepOutcome(step.name, Status.SKIPPED, "A step before it failed.")
            for step in self.scenario.steps[len(outcomes) :]
        ]
        return Walk(
            self.user, (*outcomes, *cleaned), tuple(self.cookies.values()), self.requests, tuple(self.plain_urls)
        )

    def _take_cleanup_step(self, step: Step, door: net.Door) -> StepOutcome:
        outcome = dataclasses.replace(self._take_step(step, door), is_cleanup=True)
        if outcome.reason == ScenarioFailure.NO_VALUE:
            return dataclasses.replace(outcome, status=Status.SKIPPED)  # what it removes was never made
        return outcome

    def _take_step(self, step: Step, door: net.Door) -> StepOutcome:
        self.transcript, self.last_status = [], None
        started = time.monotonic()
        failure: StepError | None = None
        try:
            self._ask_until_true(step, door)
        except MissingValueError as error:
            failure = StepError(ScenarioFailure.NO_VALUE, str(error))
        except RequestError as error:
            failure = StepError(ScenarioFailure.BAD_STEP, str(error))
        except net.NetError as error:
            failure = StepError(error.reason, str(error))
        except StepError as error:
            failure = error
        duration_ms = (time.monotonic() - started) * 1000
        if failure is None:
            text = f"{step.name}: answered {self.last_status} after {duration_ms:.0f} ms."
            return StepOutcome(step.name, Status.PASS, text, None, "", duration_ms, self.last_status)
        return StepOutcome(
            name=step.name,
            status=status_of_reason(failure.reason),
            text=f"{step.name}: {self.redactor.shorten(str(failure))}",
            reason=failure.reason,
            transcript=self.redactor.mask("\n".join(self.transcript[-2 * (MAX_REDIRECTS + 1) :])),
            duration_ms=duration_ms,
            status_code=self.last_status,
        )

    def _ask_until_true(self, step: Step, door: net.Door) -> None:
        if step.poll is None:
            self._ask_once(step, door)
            return
        ends_at = time.monotonic() + step.poll.limit_seconds
        while True:
            self.transcript = []
            try:
                self._ask_once(step, door)
            except (StepError, net.NetError) as error:
                left = min(ends_at - time.monotonic(), door.deadline.remaining_seconds("poll"))
                if left <= step.poll.interval_seconds:
                    if isinstance(error, net.NetError):
                        raise
                    text = f"It did not become true within {step.poll.limit_seconds:g} s: {error}"
                    raise StepError(ScenarioFailure.NEVER_BECAME_TRUE, text) from error
            else:
                return
            time.sleep(step.poll.interval_seconds)

    def _ask_once(self, step: Step, door: net.Door) -> None:
        started = time.monotonic()
        answered = self._send(step, build_request(step, self.scenario, self.values), door)
        answered = dataclasses.replace(answered, elapsed_ms=(time.monotonic() - started) * 1000)
        captured, missing = self._capture(step, answered)
        self._write_body(answered)
        complaints = check_answer(step.expect, answered, self.values)
        if complaints:
            raise StepError(ScenarioFailure.UNEXPECTED_ANSWER, _as_sentence(complaints))
        if missing:
            raise StepError(ScenarioFailure.NOTHING_CAPTURED, _as_sentence(missing))
        self.values.known.update(captured)

    def _capture(self, step: Step, answered: Answered) -> tuple[dict[str, object], list[str]]:
        """Read what the step captures; the redactor learns what is secret before anything of the answer is shown."""
        captured: dict[str, object] = {}
        missing: list[str] = []
        for capture in step.captures:
            try:
                value = capture_value(capture, answered, self.jar, time.time())
            except UnreadableError as error:
                missing.append(f"{capture.name} cannot be captured: {error}")
                continue
            captured[capture.name] = value
            if capture.is_secret and len(show_value(value)) >= _MIN_MASKED_CHARACTERS:
                self.redactor.learn([show_value(value)])
        return captured, missing

    def _send(self, step: Step, request: Request, door: net.Door) -> Answered:
        """Send a request and follow its redirects as a browser does. Raises StepError, NetError."""
        cookies: list[Cookie] = []
        hops: list[tuple[str, str, int]] = []
        limit_bytes = min(MAX_BODY_BYTES, _BODY_BUDGET_BYTES // self.scenario.users)
        while True:
            self._refuse_plain(request.url)
            is_cross_site = is_other_site(request.header("Origin") or request.url, request.url)
            cookie_line = self.jar.header_for(request.url, time.time(), is_cross_site=is_cross_site)
            headers = [*request.headers, *([("Cookie", cookie_line)] if cookie_line else [])]
            self.transcript.append(f"{request.method} {self.redactor.show_url(request.url)}")
            self.requests += 1
            response = send_request(
                request.url,
                door,
                method=request.method,
                headers=headers,
                content=request.content,
                body_bytes=limit_bytes,
            )
            self.last_status = response.status
            lines = response.header_values("Set-Cookie")
            taken = self.jar.take(request.url, lines, time.time(), is_cross_site=is_cross_site)
            self._note_cookies(step, taken, request.url)
            cookies += taken
            hops.append((request.method, request.url, response.status))
            location = redirect_location(response) if step.follow_redirects else None
            self.transcript.append(self._describe_answer(response.status, response.header("Content-Type"), location))
            if location is None:
                return Answered(response, 0.0, tuple(cookies), tuple(hops))
            if len(hops) > MAX_REDIRECTS:
                raise StepError(FailReason.TOO_MANY_REDIRECTS, f"It redirects more than {MAX_REDIRECTS} times.")
            request = self._redirect(request, response.status, location)

    def _redirect(self, request: Request, status: int, location: str) -> Request:
        """Return the request that a browser makes of a redirect; nothing of the first goes to another origin."""
        keeps_method = status in (307, 308) or request.method in ("GET", "HEAD")
        is_elsewhere = origin_of(location) != origin_of(request.url)
        if is_elsewhere and keeps_method and request.content:
            where = self.redactor.show_url(location)
            raise StepError(FailReason.BAD_REDIRECT, f"It redirects what was sent to another origin: {where}.")
        headers = request.headers
        if is_elsewhere:
            headers = tuple(pair for pair in headers if pair[0].lower() in _KEPT_ACROSS_ORIGINS)
        if keeps_method:
            return Request(request.method, location, headers, request.content)
        dropped = ("content-type", "origin")
        return Request("GET", location, tuple(pair for pair in headers if pair[0].lower() not in dropped), None)

    def _refuse_plain(self, url: str) -> None:
        if urlsplit(url).scheme == "https":
            return
        self.plain_urls.append(self.redactor.show_url(url))
        if not self.scenario.is_http_allowed:
            text = f"{self.redactor.show_url(url)} would be asked over plain HTTP, so it was not."
            raise StepError(ScenarioFailure.NOT_HTTPS, text)

    def _note_cookies(self, step: Step, cookies: list[Cookie], url: str) -> None:
        self.redactor.learn(each.value for each in cookies if len(each.value) >= _MIN_MASKED_CHARACTERS)
        for each in cookies:
            if not each.is_removal:
                host = urlsplit(url).hostname or ""
                self.cookies[host, each.name, step.is_sign_in] = CookieFact(
                    each.name,
                    host,
                    each.secure,
                    each.http_only,
                    each.same_site,
                    each.max_age_seconds,
                    step.name,
                    step.is_sign_in,
                )

    def _describe_answer(self, status: int, content_type: str | None, location: str | None) -> str:
        if location is not None:
            return f"  {status} to {self.redactor.show_url(location)}"
        return f"  {status} {self.redactor.shorten(content_type or '', 80)}".rstrip()

    def _write_body(self, answered: Answered) -> None:
        if answered.is_text:
            self.transcript.append(self.redactor.shorten(answered.text))
        elif answered.response.body:
            self.transcript.append(f"({len(answered.response.body)} bytes that are no text)")


def _as_sentence(parts: list[str]) -> str:
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."
