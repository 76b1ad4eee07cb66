"""``steelcut dev``, and what it stands on: a PostgreSQL of its own, both services as child processes, its state."""
