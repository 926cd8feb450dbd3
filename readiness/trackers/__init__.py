"""Reads error trackers into the portal: clients, one adapter a provider, and the sync."""
