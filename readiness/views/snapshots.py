"""Sealed snapshots to read, print, download and compare, and two environments beside each other; reads only."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from portal import keys
from portal.keys import KeyFileError
from readiness.checklists import record
from readiness.checklists.chain import open_row
from readiness.checklists.differences import compare_records, contrast_environments, word_contrast
from readiness.checklists.judging import judge
from readiness.checklists.record import Record
from readiness.checklists.snapshots import SnapshotError, read_unverified
from readiness.models import DecisionSnapshot, Environment
from readiness.views.language import choose_language

NOW = "now"
may_see = permission_required("readiness.view_environment", raise_exception=True)


@may_see
@require_safe
def show_snapshot(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """What was known when the decision was frozen, and whether this still is what was sealed."""
    environment = get_object_or_404(Environment, slug=slug)
    row = get_object_or_404(environment.snapshots, number=number)
    document, objection = _open(row)
    context = {
        "environment": environment,
        "row": row,
        "document": document,
        # A template would take `document.items` for the method.
        "items": None if document is None else document["items"],
        "objection": objection,
        "language": choose_language(request),
    }
    return render(request, "readiness/snapshot.html", context)


@may_see
@require_safe
def download_snapshot(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The snapshot exactly as it was sealed, for `manage.py snapshot verify` and for openssl."""
    row = get_object_or_404(DecisionSnapshot, environment__slug=slug, number=number)
    answer = HttpResponse(row.raw, content_type="application/json")
    answer["Content-Disposition"] = f'attachment; filename="{slug}-snapshot-{number}.json"'
    return answer


@may_see
@require_safe
def download_public_key(request: HttpRequest) -> HttpResponse:
    """The key that snapshots are checked with, in PEM. There is none before the first was sealed."""
    try:
        key = keys.existing_snapshot_public_key(settings.VAR_DIR)
    except KeyFileError:
        key = None
    if key is None:
        raise Http404
    answer = HttpResponse(keys.public_key_pem(key), content_type="application/x-pem-file")
    answer["Content-Disposition"] = 'attachment; filename="preflight-snapshot-key.pem"'
    return answer


@may_see
@require_safe
def compare_snapshots(request: HttpRequest, slug: str) -> HttpResponse:
    """What changed from one snapshot to another, or to now; by default from the last to now."""
    environment = get_object_or_404(Environment, slug=slug)
    rows = list(environment.snapshots.defer("text").order_by("-number"))
    before, after = request.GET.get("from", ""), request.GET.get("to", NOW)
    if not before and rows:
        before = str(rows[0].number)
    context: dict[str, Any] = {
        "environment": environment,
        "rows": rows,
        "before": before,
        "after": after,
        "language": choose_language(request),
        "tab": "decision",
    }
    if rows:
        (old, old_objection), (new, new_objection) = (_find_record(environment, which) for which in (before, after))
        context["objection"] = old_objection or new_objection
        if old is not None and new is not None:
            context["changes"] = compare_records(old, new)
    return render(request, "readiness/snapshot_changes.html", context)


@may_see
@require_safe
def compare_environments(request: HttpRequest) -> HttpResponse:
    """Two environments beside each other: what one has settled and the other has not."""
    environments = list(Environment.objects.active())
    by_slug = {environment.slug: environment for environment in environments}
    slugs = [request.GET.get("first", ""), request.GET.get("second", "")]
    if any(slug and slug not in by_slug for slug in slugs):
        raise Http404
    # By default the furthest from production first: what is done there is what production still lacks.
    ordered = sorted(environments, key=lambda one: one.kind == Environment.Kind.PRODUCTION)
    first = by_slug.get(slugs[0]) or (ordered[0] if ordered else None)
    others = [one for one in reversed(ordered) if one != first]
    second = by_slug.get(slugs[1]) or (others[0] if others else None)
    language = choose_language(request)
    context: dict[str, Any] = {
        "environments": environments,
        "first": first,
        "second": second,
        "language": language,
        "page": "dashboard",
    }
    if first is not None and second is not None and first != second:
        assessments = judge([first, second], timezone.now())
        one, other = (record.describe(assessments[each.pk], language=language) for each in (first, second))
        verdicts = (assessments[first.pk].decision.verdict, assessments[second.pk].decision.verdict)
        contrast = contrast_environments(one, other)
        are_ready = (verdicts[0].may_go_live, verdicts[1].may_go_live)
        headline = word_contrast((first.name, second.name), are_ready, contrast)
        context |= {"contrast": contrast, "verdicts": verdicts, "headline": headline}
    return render(request, "readiness/environment_compare.html", context)


def _find_record(environment: Environment, which: str) -> tuple[Record | None, str]:
    """The record of a snapshot by its number, or of now, with what is wrong with it."""
    if which == NOW:
        return record.describe(judge([environment], timezone.now())[environment.pk]), ""
    if not which.isdecimal() or len(which) > 9:
        raise Http404
    return _open(get_object_or_404(environment.snapshots, number=int(which)))


def _open(row: DecisionSnapshot) -> tuple[Record | None, str]:
    """What the row says, None when it cannot even be read; and why it is not what was sealed, empty when it is."""
    try:
        document = dict(read_unverified(row.raw).document)
    except SnapshotError as error:
        return None, str(error)
    try:
        key = keys.existing_snapshot_public_key(settings.VAR_DIR)
    except KeyFileError as error:
        return document, f"Nobody can tell whether this is what was sealed: {error}"
    if key is None:
        return document, "Nobody can tell whether this is what was sealed: the portal’s key is not there."
    try:
        open_row(row, key)
    except SnapshotError as error:
        return document, str(error)
    return document, ""
