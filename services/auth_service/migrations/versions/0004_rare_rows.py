"""What is rare among much is found by an index: audit events among tokens, the callers of a resource among clients."""

from alembic import op

revision = "0004"
down_revision = "0003"

# Issued tokens, nearly all events that there are, have no place in either index of events; refusals may be many too,
# beside the changes. `queries/audit_reading.py` repeats the conditions word for word.
STATEMENTS = (
    "CREATE INDEX client_grants_by_resource ON client_grants (resource_id, client_id)",
    """
    CREATE INDEX audit_events_changes ON audit_events (at, event_id)
        WHERE action NOT IN ('token.issue', 'token.refuse') OR outcome = 'done'
    """,
    """
    CREATE INDEX audit_events_refusals ON audit_events (at, event_id)
        WHERE action = 'token.refuse' OR outcome NOT IN ('issued', 'done')
    """,
)


def upgrade() -> None:
    """Add the indexes. While they are made, events wait in the memory of the services."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop the indexes."""
    op.execute("DROP INDEX audit_events_changes, audit_events_refusals, client_grants_by_resource")
