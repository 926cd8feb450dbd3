"""The tables of readiness, by concern."""

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

__all__ = [
    "Database",
    "Endpoint",
    "Environment",
    "ExpectedRecord",
    "ItemEvent",
    "ItemState",
    "MaintenanceWindow",
    "ProbeRollup",
    "ProbeRun",
    "ProbeSchedule",
    "ProbeState",
    "Scenario",
    "ScenarioSecret",
    "StatusChange",
]
