"""Who is on call: a rota's turns, counted from its start; reads rows, writes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta

from readiness.models import Channel, OnCallRota


def count_turn(starts_at: datetime, turn_hours: int, now: datetime) -> int:
    """Which turn runs at ``now``, from 0 on; negative before the first. Pure."""
    return (now - starts_at) // timedelta(hours=turn_hours)


def find_on_call(rota: OnCallRota, now: datetime) -> Channel | None:
    """The channel whose turn it is; when that is switched off, the next that is not. None when none is on."""
    channels = [turn.channel for turn in rota.turns.all()]
    if not channels:
        return None
    # Before the first turn the first in order answers already: somebody has to.
    turn = max(0, count_turn(rota.starts_at, rota.turn_hours, now))
    for place in range(len(channels)):
        channel = channels[(turn + place) % len(channels)]
        if channel.is_enabled and channel.removed_at is None:
            return channel
    return None
