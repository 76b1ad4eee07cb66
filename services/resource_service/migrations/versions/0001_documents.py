"""The protected documents."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    # key '' is the resource's own document.
    r"""
    CREATE TABLE documents (
        resource     text NOT NULL CHECK (resource ~ '^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$'),
        key          text NOT NULL DEFAULT '' CHECK (key ~ '^([A-Za-z0-9][A-Za-z0-9._~-]{0,127})?$'),
        body         bytea NOT NULL,
        etag         text NOT NULL CHECK (etag ~ '^[0-9a-f]{32}$'),
        published_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (resource, key)
    )
    """,
    # Not compressed: the size of a body is then known without reading it, and reading costs no unpacking.
    "ALTER TABLE documents ALTER COLUMN body SET STORAGE EXTERNAL",
)


def upgrade() -> None:
    """Create everything."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop everything."""
    op.execute("DROP TABLE documents")
