"""Recognises a stack trace in what a server answers. Pure."""

import html
import re

# One sign for each family of runtimes: lines that name a place in the code, never mere talk of errors.
_SIGNS = (
    re.compile(r"^\s*at .{0,300}:\d+:\d+\)?", re.MULTILINE),  # JavaScript
    re.compile(r"Traceback \(most recent call last\)|^\s*File \"[^\"\n]{1,300}\", line \d+", re.MULTILINE),  # Python
    re.compile(r"^\s*at [\w.$<>/]{3,300}\([\w.$ ]{1,100}(?::\d+)?\)", re.MULTILINE),  # Java, Kotlin, Scala
    re.compile(r"^\s*at [^\n]{3,300} in [^\n]{1,300}:line \d+", re.MULTILINE),  # .NET
    re.compile(r"^#\d+ [^\n]{1,300}\.php\(\d+\)", re.MULTILINE),  # PHP
    re.compile(r"^[^\s:][^\n:]{0,300}\.rb:\d+:in ", re.MULTILINE),  # Ruby
    re.compile(r"^goroutine \d+ \[", re.MULTILINE),  # Go
)
_TAG = re.compile(r"<(?:br|/?p|/?pre|/?li|/?div|/?tr)\b[^>]{0,200}>", re.IGNORECASE)


def holds_stack_trace(body: bytes) -> bool:
    """Say whether an answer, as text, HTML or JSON, shows where in the code something broke."""
    text = body.decode("utf-8", "replace")
    # HTML breaks lines with tags and indents with &nbsp;, JSON with \\n.
    lines = _TAG.sub("\n", html.unescape(text)).replace("\\n", "\n").replace("\xa0", " ")
    return any(sign.search(lines) for sign in _SIGNS)
