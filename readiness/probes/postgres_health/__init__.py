"""The health of a PostgreSQL database: one module reads it, the others judge what was read, by concern."""
