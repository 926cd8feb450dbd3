"""The tables of readiness, by concern."""

from readiness.models.alerts import (
    Alert,
    AlertRule,
    Channel,
    GateSeen,
    NoticeSettings,
    Notification,
    OnCallRota,
    OnCallTurn,
)
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
from readiness.models.trackers import Tracker, TrackerEvent, TrackerIssue, TrackerProject

__all__ = [
    "Alert",
    "AlertRule",
    "Channel",
    "Database",
    "Endpoint",
    "Environment",
    "ExpectedRecord",
    "GateSeen",
    "ItemEvent",
    "ItemState",
    "MaintenanceWindow",
    "NoticeSettings",
    "Notification",
    "OnCallRota",
    "OnCallTurn",
    "ProbeRollup",
    "ProbeRun",
    "ProbeSchedule",
    "ProbeState",
    "Scenario",
    "ScenarioSecret",
    "StatusChange",
    "Tracker",
    "TrackerEvent",
    "TrackerIssue",
    "TrackerProject",
]
