"""What people type, cleaned and measured."""

from __future__ import annotations

from readiness.checklists.workflow.errors import WorkflowError

TEXT_LENGTH = 4_000


def clean_text(text: str, what: str, *, is_wanted: bool = False) -> str:
    """The text without blanks around it. Raises WorkflowError when it is too long, or empty though it is wanted."""
    text = text.replace("\x00", "").strip()
    if is_wanted and not text:
        raise WorkflowError(f"Write {what} first.")
    if len(text) > TEXT_LENGTH:
        raise WorkflowError(f"{what.capitalize()} has at most {TEXT_LENGTH} characters; this has {len(text)}.")
    return text
