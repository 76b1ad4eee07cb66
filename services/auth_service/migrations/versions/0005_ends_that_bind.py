"""Who gave a secret its end: one that an operator gave later, or by replacing it, binds the client's own rotations."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column. Of the secrets that exist nobody knows it: their ends are taken for those of their beginning."""
    op.execute("ALTER TABLE client_secrets ADD COLUMN ends_by_operator boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    """Drop the column."""
    op.execute("ALTER TABLE client_secrets DROP COLUMN ends_by_operator")
