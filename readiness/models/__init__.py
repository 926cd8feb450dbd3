"""The tables of readiness, by concern."""

from readiness.models.alerts import Alert, AlertRule, Channel, GateSeen, Notification
from readiness.models.checklists import ItemEvent, ItemState
from readiness.models.decisions import DecisionSnapshot, Meeting, RequiredRole, Signature
from readiness.models.environments import Database, Endpoint, Environment
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
from readiness.models.trackers import Tracker, TrackerEvent, TrackerIssue, TrackerProject

__all__ = [
    "Alert",
    "AlertRule",
    "Channel",
    "CostEntry",
    "CostTable",
    "Database",
    "DecisionSnapshot",
    "Endpoint",
    "Environment",
    "ExpectedRecord",
    "GateSeen",
    "ItemEvent",
    "ItemState",
    "MaintenanceWindow",
    "Meeting",
    "Notification",
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
    "Tracker",
    "TrackerEvent",
    "TrackerIssue",
    "TrackerProject",
]
