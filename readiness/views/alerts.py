"""Alerts: what is open, who was told, channels, rules; and the link that acknowledges a notice."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required, permission_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal import audit
from readiness.alert_forms import ChannelForm, RotaForm, RuleForm
from readiness.alerts import removing
from readiness.alerts.incidents import acknowledge
from readiness.alerts.messages import read_acknowledge_token
from readiness.alerts.on_call import find_on_call
from readiness.alerts.send import queue_test, send_one
from readiness.models import Alert, AlertRule, Channel, Notification, OnCallRota

PAGE_LENGTH = 50
may_see = permission_required("readiness.view_alert", raise_exception=True)
may_acknowledge = permission_required("readiness.acknowledge_alert", raise_exception=True)
may_set_up = permission_required("readiness.change_alertrule", raise_exception=True)


@may_see
@require_safe
def show_alerts(request: HttpRequest) -> HttpResponse:
    """What is open, and the history: what was sent to whom, why, whether it arrived, who acknowledged it."""
    history = Notification.objects.select_related("alert__environment", "alert__rule", "channel", "person").defer(
        "channel__address"
    )
    # What concerns a person is between the portal and that person; others see that something was sent, not what.
    asked = {name: request.GET.get(name, "").replace("\x00", "")[:100] for name in ("state", "text")}
    if asked["state"] in Notification.State.values:
        history = history.filter(state=asked["state"])
    if asked["text"]:
        history = history.filter(
            Q(alert__title__icontains=asked["text"])
            | Q(alert__environment__name__icontains=asked["text"])
            | Q(channel__name__icontains=asked["text"])
            | Q(person__username__icontains=asked["text"])
        )
    context = {
        "asked": asked,
        "states": Notification.State.choices,
        "open_alerts": Alert.objects.filter(resolved_at__isnull=True).select_related("environment", "rule")[:200],
        "notifications": Paginator(history, PAGE_LENGTH).get_page(request.GET.get("page")),
        "has_channel": Channel.objects.filter(removed_at__isnull=True, is_enabled=True).exists(),
        "page": "alerts",
    }
    return render(request, "readiness/alerts.html", context)


@may_acknowledge
@require_POST
def acknowledge_alert(request: HttpRequest, pk: int) -> HttpResponse:
    alert = get_object_or_404(Alert.objects.select_related("environment"), pk=pk)
    if acknowledge(alert, request.user.get_username(), timezone.now()):
        audit.record("acknowledged", actor=request.user, environment=alert.environment, subject=alert.title)
        messages.success(request, "Acknowledged: nobody is reminded any more.")
    return redirect("alerts")


@login_not_required
@require_http_methods(["GET", "POST"])
def acknowledge_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Acknowledges by the signed link of a message. A GET only asks: mail scanners open every link."""
    pk = read_acknowledge_token(token)
    if pk is None:
        raise Http404
    alert = get_object_or_404(Alert.objects.select_related("environment"), pk=pk)
    if request.method == "POST":
        person = request.user.get_username() if request.user.is_authenticated else "whoever had the link"
        if acknowledge(alert, person, timezone.now()):
            audit.record("acknowledged", actor_name=person, environment=alert.environment, subject=alert.title)
        alert.refresh_from_db()
    return render(request, "readiness/acknowledge.html", {"alert": alert})


@may_set_up
@require_safe
def show_alert_settings(request: HttpRequest) -> HttpResponse:
    context = {
        "channels": Channel.objects.filter(removed_at__isnull=True),
        "rules": AlertRule.objects.filter(removed_at__isnull=True)
        .select_related("environment", "rota")
        .prefetch_related("channels"),
        "rotas": [
            (rota, find_on_call(rota, timezone.now())) for rota in OnCallRota.objects.prefetch_related("turns__channel")
        ],
        "page": "alerts",
    }
    return render(request, "readiness/alert_settings.html", context)


@may_set_up
@require_http_methods(["GET", "POST"])
def save_channel(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Adds a channel, or changes the one called ``pk``."""
    channel = None if pk is None else get_object_or_404(Channel, pk=pk, removed_at__isnull=True)
    form = ChannelForm(request.POST or None, instance=channel)
    if request.method == "POST" and form.is_valid():
        saved = form.save()
        audit.record("saved the channel", actor=request.user, subject=f"{saved.name} ({saved.get_kind_display()})")
        messages.success(request, f"{saved.name} is saved. Send a test through it.")
        return redirect("alert_settings")
    context = {"form": form, "title": channel.name if channel else "New channel", "page": "alerts"}
    return render(request, "readiness/alert_form.html", context, status=400 if form.errors else 200)


@may_set_up
@require_http_methods(["GET", "POST"])
def save_rule(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Adds a rule, or changes the one called ``pk``."""
    rule = None if pk is None else get_object_or_404(AlertRule, pk=pk, removed_at__isnull=True)
    form = RuleForm(request.POST or None, instance=rule)
    if request.method == "POST" and form.is_valid():
        saved = form.save()
        audit.record("saved the alert rule", actor=request.user, environment=saved.environment, subject=saved.name)
        messages.success(request, "Saved.")
        return redirect("alert_settings")
    context = {"form": form, "title": rule.name if rule else "New rule", "page": "alerts"}
    return render(request, "readiness/alert_form.html", context, status=400 if form.errors else 200)


@may_set_up
@require_http_methods(["GET", "POST"])
def save_rota(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Adds a rota, or changes the one called ``pk``."""
    rota = None if pk is None else get_object_or_404(OnCallRota, pk=pk)
    form = RotaForm(request.POST or None, instance=rota)
    if request.method == "POST" and form.is_valid():
        saved = form.save()
        audit.record("saved the on-call rota", actor=request.user, subject=saved.name)
        messages.success(request, f"{saved.name} is saved. Choose it in the rules.")
        return redirect("alert_settings")
    context = {"form": form, "title": rota.name if rota else "New rota", "page": "alerts"}
    return render(request, "readiness/alert_form.html", context, status=400 if form.errors else 200)


@may_set_up
@require_POST
def remove_rota(request: HttpRequest, pk: int) -> HttpResponse:
    rota = get_object_or_404(OnCallRota, pk=pk)
    rota.delete()
    audit.record("removed the on-call rota", actor=request.user, subject=rota.name)
    messages.success(request, f"{rota.name} is removed.")
    return redirect("alert_settings")


@may_set_up
@require_POST
def remove_channel(request: HttpRequest, pk: int) -> HttpResponse:
    channel = get_object_or_404(Channel, pk=pk, removed_at__isnull=True)
    name = channel.name
    removing.remove_channel(channel, timezone.now())
    audit.record("removed the channel", actor=request.user, subject=name)
    messages.success(request, f"{name} is removed.")
    return redirect("alert_settings")


@may_set_up
@require_POST
def remove_rule(request: HttpRequest, pk: int) -> HttpResponse:
    rule = get_object_or_404(AlertRule, pk=pk, removed_at__isnull=True)
    removing.remove_rule(rule, timezone.now())
    audit.record("removed the alert rule", actor=request.user, subject=rule.name)
    messages.success(request, f"{rule.name} is removed.")
    return redirect("alert_settings")


@may_set_up
@require_POST
def test_channel(request: HttpRequest, pk: int) -> HttpResponse:
    """Sends a test at once and says how that went."""
    channel = get_object_or_404(Channel, pk=pk, removed_at__isnull=True)
    now = timezone.now()
    error = send_one(queue_test(channel, now), now)
    audit.record("tested the channel", actor=request.user, subject=channel.name)
    if error:
        messages.error(request, f"{channel.name}: {error}")
    else:
        messages.success(request, f"The test went out through {channel.name}.")
    return redirect("alert_settings")
