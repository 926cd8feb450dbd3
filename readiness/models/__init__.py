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
from readiness.models.trackers import Tracker, TrackerEvent, TrackerIssue, TrackerProject

__all__ = [
    "Alert",
    "AlertRule",
    "Channel",
    "Database",
    "Endpoint",
    "Environment",
    "GateSeen",
    "ItemEvent",
    "ItemState",
    "MaintenanceWindow",
    "Notification",
    "ProbeRollup",
    "ProbeRun",
    "ProbeSchedule",
    "ProbeState",
    "StatusChange",
    "Tracker",
    "TrackerEvent",
    "TrackerIssue",
    "TrackerProject",
]
