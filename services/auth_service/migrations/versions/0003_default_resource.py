"""The clients of a default resource are found by an index: else the end of a resource would read every client."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the index. Most clients have no default resource and no place in it."""
    op.execute(
        "CREATE INDEX clients_default_resource ON clients (default_resource_id) WHERE default_resource_id IS NOT NULL"
    )


def downgrade() -> None:
    """Drop the index."""
    op.execute("DROP INDEX clients_default_resource")
