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
from readiness.models.decisions import DecisionSnapshot, Meeting, RequiredRole, Signature
from readiness.models.environments import Database, Endpoint, Environment
from readiness.models.outside import ApiToken, Deploy, PostedFact
from readiness.models.planning import CostEntry, CostTable, ProgressDay
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
    "ApiToken",
    "Attachment",
    "Channel",
    "ChecklistTemplate",
    "CostEntry",
    "CostTable",
    "Database",
    "DecisionSnapshot",
    "Deploy",
    "Endpoint",
    "Environment",
    "ExpectedRecord",
    "GateSeen",
    "ItemApproval",
    "ItemEvent",
    "ItemState",
    "MaintenanceWindow",
    "Meeting",
    "NoticeSettings",
    "Notification",
    "OnCallRota",
    "OnCallTurn",
    "PostedFact",
    "ProbeRollup",
    "ProbeRun",
    "ProbeSchedule",
    "ProbeState",
    "ProgressDay",
    "RequiredRole",
    "Scenario",
    "ScenarioSecret",
    "Signature",
    "StatusChange",
    "TemplateVersion",
    "Tracker",
    "TrackerEvent",
    "TrackerIssue",
    "TrackerProject",
    "Waiver",
]
