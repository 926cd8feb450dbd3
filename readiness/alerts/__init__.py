"""Tells people what changed: rules, alerts, channels, notifications."""
