"""Takes secrets out of text that leaves the portal: events, logs, results of tasks. Pure."""

from __future__ import annotations

import logging
import re

_NAMES = (
    r"(?:password|passwd|pwd|passphrase|token|secret|(?:api|private|secret|access|signing)[_-]?key"
    r"|authorization|credentials?|cookie|sessionid)"
)
# Texts are as long and odd as whoever wrote them wanted: nothing here tries a long run again from each of its places.
_REPLACEMENTS = (
    # user:password@ in any URL or DSN
    (re.compile(r"(?<=://)[^\s/@'\"]+@"), "***@"),
    # the query of any URL
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://[^\s?'\"<>]{0,2000})\?[^\s'\"<>]*", re.IGNORECASE), r"\1?***"),
    # <WSGIRequest: GET '/path/?token=...'>
    (re.compile(r"(Request: \w{1,20} '[^'?]{0,2000})\?[^']*"), r"\1?***"),
    (re.compile(r"\b[Bb]earer\s+[\w.~+/=-]+"), "Bearer ***"),
    (
        re.compile(r"(?i)\b(authorization['\"]?\s{0,9}[=:]\s{0,9}['\"]?)(?:basic|digest|token)\s{1,9}[^\s'\",;]+"),
        r"\1*** ***",
    ),
    # What is between quotes, spaces and all; to the end of the line when the text breaks off before the second one.
    (re.compile(rf"(?i)({_NAMES}['\"]?\s{{0,9}}[=:]\s{{0,9}}(['\"]))(?!\*\*\*).*?(?=\2|$)", re.MULTILINE), r"\1***"),
    (re.compile(rf"(?i)({_NAMES}['\"]?\s{{0,9}}[=:]\s{{0,9}})(?!\*\*\*)[^\s'\",;&]+"), r"\1***"),
    # Tokens that are known by their looks: JSON web tokens, our own, and those of forges, clouds, shops and trackers.
    (re.compile(r"\beyJ[\w-]{8,2000}\.[\w-]{1,9000}\.[\w-]*"), "***"),
    (
        re.compile(
            r"\b(pf_|gh[opusr]_|github_pat_|glpat-|[rs]k_(?:live|test)_|xox[abeprs]-|sntry[su]_|AKIA|ASIA)[\w+/=-]{16,}"
        ),
        r"\1***",
    ),
    # Not a release such as shop@1.2
    (re.compile(r"(?<![\w.+-])[\w.+-]+@(?:[\w-]+\.)+[A-Za-z]{2,}"), "***@***"),
)


def mask_text(text: str) -> str:
    """``text`` without passwords, tokens, queries of URLs and e-mail addresses."""
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    return text


class MaskingFormatter(logging.Formatter):
    """Formats a record as logging does, traceback included, and masks the whole."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_text(super().format(record))
