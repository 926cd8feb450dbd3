"""Takes secrets out of text that leaves the portal: events, logs, results of tasks. Pure."""

from __future__ import annotations

import logging
import re

_REPLACEMENTS = (
    # user:password@ in any URL or DSN
    (re.compile(r"(?<=://)[^\s/@'\"]+@"), "***@"),
    # the query of any URL
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s?'\"<>]*)\?[^\s'\"<>]*", re.IGNORECASE), r"\1?***"),
    # <WSGIRequest: GET '/path/?token=...'>
    (re.compile(r"(\w*Request: \w+ '[^'?]*)\?[^']*"), r"\1?***"),
    # Tokens that are known by how they begin: our own, those of forges, clouds, payment and error trackers, and JWTs.
    (
        re.compile(
            r"\b(pf_|gh[opusr]_|github_pat_|glpat-|[sr]k_(?:live|test)_|xox[abeprs]-|sntry[su]_|AKIA|ASIA)[\w-]{16,}"
        ),
        r"\1***",
    ),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), "***"),
    (re.compile(r"\b[Bb]earer\s+[\w.~+/=-]+"), "Bearer ***"),
    (
        re.compile(
            r"(?i)\b([\w-]*(?:password|passwd|pwd|token|secret|api[_-]?key|authorization|cookie|sessionid))"
            r"(['\"]?\s*[=:]\s*['\"]?)(?!\*\*\*)[^\s'\",;&]+"
        ),
        r"\1\2***",
    ),
    # Not a release such as shop@1.2
    (re.compile(r"[\w.+-]+@(?:[\w-]+\.)+[A-Za-z]{2,}"), "***@***"),
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
