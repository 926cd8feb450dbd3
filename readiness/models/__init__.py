"""The tables of readiness, by concern."""

from readiness.models.alerts import Alert, AlertRule, Channel, GateSeen, Notification
from readiness.models.checklists import ItemEvent, ItemState
from readiness.models.environments import Database, Endpoint, Environment
from readiness.models.probes import (
    MaintenanceWindow,
    ProbeRollup,
    ProbeRun,
    ProbeSchedule,
    ProbeState,
    StatusChange,
)
from readiness.models.scenarios import ExpectedRecord, Scenario, ScenarioSecret
from readiness.models.templates import ChecklistTemplate, TemplateVersion
from readiness.models.trackers import Tracker, TrackerEvent, TrackerIssue, TrackerProject

__all__ = [
    "Alert",
    "AlertRule",
    "Channel",
    "ChecklistTemplate",
    "Database",
    "Endpoint",
    "Environment",
    "ExpectedRecord",
    "GateSeen",
    "ItemEvent",
    "ItemState",
    "MaintenanceWindow",
    "Notification",
    "ProbeRollup",
    "ProbeRun",
    "ProbeSchedule",
    "ProbeState",
    "Scenario",
    "ScenarioSecret",
    "StatusChange",
    "TemplateVersion",
    "Tracker",
    "TrackerEvent",
    "TrackerIssue",
    "TrackerProject",
]
