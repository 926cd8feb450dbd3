"""Pages of readiness, by concern."""
