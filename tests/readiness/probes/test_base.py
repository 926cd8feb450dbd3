"""The words every probe speaks."""

import pytest

from readiness.probes.base import (
    ErrorReason,
    Finding,
    ProbeResult,
    Status,
    Target,
    make_error_result,
    mask_secrets,
    worst_status,
)


def test_it_gives_exactly_the_promised_json_object() -> None:
    finding = Finding("status", Status.FAIL, "It answers 500.", "requested: /", "Look into the log.")
    result = ProbeResult("http", "example.org", Status.FAIL, "bad_status", 12, (finding,), {"a": 1})
    assert result.as_json_object() == {
        "kind": "http",
        "target": "example.org",
        "status": "fail",
        "reason": "bad_status",
        "duration_ms": 12,
        "findings": [
            {
                "id": "status",
                "status": "fail",
                "summary": "It answers 500.",
                "detail": "requested: /",
                "fix": "Look into the log.",
            }
        ],
        "data": {},
    } | {"data": {"a": 1}}


def test_it_shows_no_fix_for_what_is_fine() -> None:
    assert Finding("a", Status.PASS, "Fine.", fix="Do something.").as_json_object()["fix"] == ""


def test_it_gives_a_failure_the_status_of_its_reason() -> None:
    assert make_error_result("http", "x", ErrorReason.TIMEOUT, "Too slow.").status is Status.ERROR
    assert make_error_result("http", "x", "bad_status", "Wrong.").status is Status.FAIL


def test_it_counts_skipped_only_when_there_is_nothing_else() -> None:
    assert worst_status([Status.SKIPPED, Status.PASS]) is Status.PASS
    assert worst_status([Status.SKIPPED]) is Status.SKIPPED
    assert worst_status([Status.WARN, Status.ERROR, Status.FAIL]) is Status.ERROR


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgres://app:s3cret@db.test/x", "postgres://app:***@db.test/x"),
        ("postgresql://app:s3:c@r/e?t@db.test/x", "postgresql://app:***@db.test/x"),
        ("https://user:s3cret@site.test/", "https://user:***@site.test/"),
        ("https://s3crettoken@site.test/", "https://***@site.test/"),
        ("https://site.test:8443/@name", "https://site.test:8443/@name"),
        ("https://[::1]:8443/@name", "https://[::1]:8443/@name"),
        ("host=db password=s3cret user=app", "host=db password=*** user=app"),
        ("host=db password='s3 cr\\'et' user=app", "host=db password=*** user=app"),
        ("host=db password = s3cret", "host=db password = ***"),
        ("postgres://db.test/x?password=s3cret&a=b", "postgres://db.test/x?password=***&a=b"),
        ("host=db pasword=s3cret user=app", "host=db pasword=*** user=app"),
        ("host=db pwd=s3cret", "host=db pwd=***"),
        ("https://app:s3cret/x", "https://app:***/x"),
        ("postgresql://app:5s3cret/x is no URL", "postgresql://app:***/x is no URL"),
        ("https://site.test:8443: refused", "https://site.test:8443: refused"),
        ("postgresql://a.test:5432,b.test:5433/x", "postgresql://a.test:5432,b.test:5433/x"),
        ("See https://site.test: it answers.", "See https://site.test: it answers."),
        ("env:DATABASE_URL", "env:DATABASE_URL"),
        ("www.example.org:443", "www.example.org:443"),
        ("postgres://app:hun ter2@[db/x", "postgres://app:***@[db/x"),
        ("app:s3cret@db.test", "app:***@db.test"),
        ("app@db.test", "app@db.test"),
        ("error at 10:30 for app@db.test", "error at 10:30 for app@db.test"),
    ],
)
def test_it_masks_the_password_of_a_typed_target_and_nothing_else(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked


def test_it_never_shows_a_dsn_in_the_repr_of_a_target() -> None:
    assert "s3cret" not in repr(Target(label="x", dsn="postgres://app:s3cret@db/x"))
