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
from readiness.models.checklists import Attachment, ItemApproval, ItemEvent, ItemState, Waiver
from readiness.models.environments import Database, Endpoint, Environment
from readiness.models.outside import ApiToken, Deploy, PostedFact
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
    "ApiToken",
    "Attachment",
    "Channel",
    "Database",
    "Deploy",
    "Endpoint",
    "Environment",
    "ExpectedRecord",
    "GateSeen",
    "ItemApproval",
    "ItemEvent",
    "ItemState",
    "MaintenanceWindow",
    "NoticeSettings",
    "Notification",
    "OnCallRota",
    "OnCallTurn",
    "PostedFact",
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
    "Waiver",
]
