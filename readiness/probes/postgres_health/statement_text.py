"""Makes the text of a statement fit to be shown: no literals, no comments, one line, at most 500 characters. Pure."""

import re

MAX_SHOWN = 500
# In order: what is dropped, what is masked, what is kept whole because it may look like one of the others.
_TOKEN = re.compile(
    r"""
    (?P<comment> --[^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<quoted> "(?:[^"]|"")*(?:"|\Z) )                              # an identifier
    | (?P<escaped> (?<![\w$])[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z) )         # E'...' with backslashes
    | (?P<string> '(?:[^']|'')*(?:'|\Z) )
    | (?P<dollar> \$(?P<tag>[^\W\d]\w*)\$.*?(?:\$(?P=tag)\$|\Z) | \$\$.*?(?:\$\$|\Z) )
    | (?P<parameter> \$\d+ )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<number> (?: \d[\w.]* | \.\d[\w.]* ) (?: (?<=[eE])[+-]\d+ )? )
    """,
    re.VERBOSE | re.DOTALL,
)
_KEPT = {"quoted", "parameter", "word"}


def mask_statement(statement: str) -> str:
    """Return `statement` with every string and number as ?, without comments, shortened to 500 characters.

    pg_stat_statements normalises queries, but not utility statements: ALTER ROLE ... PASSWORD '...' stands there as it
    was sent. Where a backslash before a quote makes it unclear where a string ends, the rest is masked.
    """
    clear, unclear = _split_where_unclear(statement)
    masked = _TOKEN.sub(_mask_token, clear) + (" ?" if unclear else "")
    shown = " ".join(masked.split())
    return shown if len(shown) <= MAX_SHOWN else f"{shown[: MAX_SHOWN - 1]}…"


def _mask_token(match: re.Match[str]) -> str:
    if match["comment"] is not None:
        return " "
    return match[0] if any(match[kind] is not None for kind in _KEPT) else "?"


def _split_where_unclear(statement: str) -> tuple[str, bool]:
    """Cut at the first plain string with a backslash before a quote, and at a comment inside a comment."""
    for match in _TOKEN.finditer(statement):
        is_unclear_string = match["string"] is not None and "\\'" in match[0]
        is_nested_comment = match["comment"] is not None and "/*" in match[0][2:]
        if is_unclear_string or is_nested_comment:
            return statement[: match.start()], True
    return statement, False
