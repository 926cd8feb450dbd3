"""The go-live checklist: its shipped template and, per environment, its state."""
