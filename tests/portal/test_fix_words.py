"""Reasons and fixes of probes as people read and copy them."""

from __future__ import annotations

import pytest

from portal.words import split_fix, split_statements, word_reason
from readiness.probes.header_fixes import FIXES


@pytest.mark.parametrize(
    ("reason", "words"),
    [("no_https_redirect", "no HTTPS redirect"), ("not_tls", "not TLS"), ("refused", "refused")],
)
def test_it_words_reasons(reason: str, words: str) -> None:
    assert word_reason(reason) == words


def test_it_leaves_a_sentence_whole() -> None:
    assert split_fix("Serve the site over HTTPS.") == [("", "Serve the site over HTTPS.")]


def test_it_splits_what_the_header_probe_writes_by_stack() -> None:
    snippets = dict(split_fix(FIXES["x-powered-by"]))

    assert list(snippets) == ["Django", "Helmet", "nginx", "Caddy"]
    assert snippets["nginx"] == "proxy_hide_header X-Powered-By;"


def test_it_gathers_the_lines_of_one_stack_in_one_snippet() -> None:
    snippets = dict(split_fix(f"{FIXES['x-powered-by']}\n{FIXES['server']}"))

    assert snippets["nginx"] == "proxy_hide_header X-Powered-By;\nserver_tokens off;"


def test_it_tells_statements_to_run_from_the_sentences_around_them() -> None:
    fix = "Ask its owner.\nIn doubt, wait; then:\nDROP INDEX CONCURRENTLY a;\nDROP INDEX CONCURRENTLY b;\nLook again."

    assert split_statements(fix) == [
        (False, "Ask its owner. In doubt, wait; then:"),
        (True, "DROP INDEX CONCURRENTLY a;\nDROP INDEX CONCURRENTLY b;"),
        (False, "Look again."),
    ]


@pytest.mark.parametrize("fix", ["Serve the site over HTTPS.", "nginx: server_tokens off;", "Select a plan;", ""])
def test_it_finds_no_statement_where_there_is_none(fix: str) -> None:
    assert split_statements(fix) == []
