"""The page that takes in a dump made elsewhere: an upload, or a file that lies in the store."""

from __future__ import annotations

import secrets

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from backups import catalogue, imports, tasks
from backups.errors import JobError
from backups.forms import ImportForm
from readiness.models import Environment


@permission_required("backups.restore_backup", raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def import_dump(request: HttpRequest, slug: str) -> HttpResponse:
    """Keeps the file encrypted and asks for it to be taken in."""
    environment = get_object_or_404(Environment, slug=slug)
    is_sent = request.method == "POST"
    form = ImportForm(request.POST, request.FILES) if is_sent else ImportForm()
    if is_sent and form.is_valid():
        upload = form.cleaned_data["upload"]
        where, name = ("upload", upload.name) if upload else ("store", form.cleaned_data["path"])
        file = imports.name_upload(secrets.token_hex(8)) if upload else name
        source = {"name": name[:100], "where": where, "file": file}
        backup = catalogue.request_import(environment, source, actor=request.user)
        try:
            if upload:
                imports.keep_upload(upload, file)
        except JobError as error:
            catalogue.request_cancel(backup, actor=request.user)
            form.add_error(None, error.sentence)
        else:
            tasks.enqueue(backup)
            return redirect("backup", backup.pk)
    context = {"environment": environment, "form": form, "max_bytes": imports.max_bytes(), "tab": "backups"}
    return render(request, "backups/import.html", context, status=400 if form.errors else 200)
