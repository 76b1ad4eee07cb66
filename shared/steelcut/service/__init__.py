"""What both services stand on: settings, logs, the request boundary, PostgreSQL (needs the extra ``server``)."""
