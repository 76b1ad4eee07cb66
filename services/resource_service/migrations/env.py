"""Executed by Alembic; the work is shared with the other service."""

from steelcut.service.database.migrations import run_env

run_env()
