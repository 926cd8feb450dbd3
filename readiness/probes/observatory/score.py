"""Turns result codes into modifiers, a score and a grade. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BONUS_THRESHOLD = 90
# result code -> (score modifier, passes)
MODIFIERS: Mapping[str, tuple[int, bool]] = {
    "csp-implemented-with-no-unsafe-default-src-none": (10, True),
    "csp-implemented-with-no-unsafe": (5, True),
    "csp-implemented-with-unsafe-inline-in-style-src-only": (0, True),
    "csp-implemented-but-duplicate-directives": (0, True),
    "csp-implemented-with-insecure-scheme-in-passive-content-only": (-10, True),
    "csp-implemented-with-unsafe-eval": (-10, False),
    "csp-implemented-with-unsafe-inline": (-20, False),
    "csp-implemented-with-insecure-scheme": (-20, False),
    "csp-header-invalid": (-25, False),
    "csp-not-implemented": (-25, False),
    "csp-not-implemented-but-reporting-enabled": (-25, False),
    "cookies-not-found": (0, True),
    "cookies-secure-with-httponly-sessions-and-samesite": (5, True),
    "cookies-secure-with-httponly-sessions": (0, True),
    "cookies-without-secure-flag-but-protected-by-hsts": (-5, False),
    "cookies-without-secure-flag": (-20, False),
    "cookies-session-without-secure-flag-but-protected-by-hsts": (-10, False),
    "cookies-samesite-flag-invalid": (-20, False),
    "cookies-anticsrf-without-samesite-flag": (-20, False),
    "cookies-session-without-httponly-flag": (-30, False),
    "cookies-session-without-secure-flag": (-40, False),
    "cross-origin-resource-sharing-not-implemented": (0, True),
    "cross-origin-resource-sharing-implemented-with-public-access": (0, True),
    "cross-origin-resource-sharing-implemented-with-restricted-access": (0, True),
    "cross-origin-resource-sharing-implemented-with-universal-access": (-50, False),
    "corp-implemented-with-same-origin": (10, True),
    "corp-implemented-with-same-site": (10, True),
    "corp-implemented-with-cross-origin": (0, True),
    "corp-not-implemented": (0, True),
    "corp-header-invalid": (-5, False),
    "redirection-not-needed-no-http": (0, True),
    "redirection-invalid-cert": (-20, False),
    "redirection-all-redirects-preloaded": (0, True),
    "redirection-missing": (-20, False),
    "redirection-not-to-https": (-20, False),
    "redirection-not-to-https-on-initial-redirection": (-10, False),
    "redirection-off-host-from-http": (-5, False),
    "redirection-to-https": (0, True),
    "referrer-policy-private": (5, True),
    "referrer-policy-unsafe": (-5, False),
    "referrer-policy-header-invalid": (-5, False),
    "referrer-policy-not-implemented": (0, True),
    "hsts-preloaded": (5, True),
    "hsts-implemented-max-age-at-least-six-months": (0, True),
    "hsts-implemented-max-age-less-than-six-months": (-10, False),
    "hsts-not-implemented": (-20, False),
    "hsts-header-invalid": (-20, False),
    "hsts-not-implemented-no-https": (-20, False),
    "hsts-invalid-cert": (-20, False),
    "sri-implemented-and-all-scripts-loaded-securely": (5, True),
    "sri-implemented-and-external-scripts-loaded-securely": (5, True),
    "sri-not-implemented-response-not-html": (0, True),
    "sri-not-implemented-but-no-scripts-loaded": (0, True),
    "sri-not-implemented-but-all-scripts-loaded-from-secure-origin": (0, True),
    "sri-not-implemented-but-external-scripts-loaded-securely": (-5, False),
    "sri-implemented-but-external-scripts-not-loaded-securely": (-20, False),
    "sri-not-implemented-and-external-scripts-not-loaded-securely": (-50, False),
    "x-content-type-options-nosniff": (0, True),
    "x-content-type-options-header-invalid": (-5, False),
    "x-content-type-options-not-implemented": (-5, False),
    "x-frame-options-implemented-via-csp": (5, True),
    "x-frame-options-sameorigin-or-deny": (0, True),
    "x-frame-options-allow-from-origin": (0, True),
    "x-frame-options-not-implemented": (-20, False),
    "x-frame-options-header-invalid": (-20, False),
}
_GRADES = (
    (100, "A+"),
    (90, "A"),
    (85, "A-"),
    (80, "B+"),
    (70, "B"),
    (65, "B-"),
    (60, "C+"),
    (50, "C"),
    (45, "C-"),
    (40, "D+"),
    (30, "D"),
    (25, "D-"),
)


@dataclass(frozen=True, slots=True)
class Score:
    """The score (0 and up), its letter, and {test name: result code}."""

    score: int
    grade: str
    tests: Mapping[str, str]

    def as_json_object(self) -> dict[str, Any]:
        tests = {
            name: {"result": code, "pass": MODIFIERS[code][1], "score_modifier": MODIFIERS[code][0]}
            for name, code in self.tests.items()
        }
        return {"score": self.score, "grade": self.grade, "tests": tests}


def score_tests(tests: Mapping[str, str]) -> Score:
    """Add the modifiers up: bonuses count only for a site that keeps 90 points without them."""
    modifiers = [MODIFIERS[code][0] for code in tests.values()]
    score = 100 + sum(modifier for modifier in modifiers if modifier < 0)
    if score >= BONUS_THRESHOLD:
        score += sum(modifier for modifier in modifiers if modifier > 0)
    score = max(0, score)
    return Score(score, grade_score(score), tests)


def grade_score(score: int) -> str:
    """Return the letter of a score, which is first rounded down to a multiple of 5."""
    rounded = score - score % 5
    return next((grade for threshold, grade in _GRADES if rounded >= threshold), "F")
