"""Every replica hears of a changed document at commit, and forgets what it keeps of it."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    """
    CREATE FUNCTION notify_document() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
    BEGIN
        PERFORM pg_notify('steelcut_documents', OLD.resource || '/' || OLD.key);
        RETURN NULL;
    END $$
    """,
    # Not of a new one: that there is no such document is not kept by anybody.
    """
    CREATE TRIGGER documents_heard AFTER UPDATE OR DELETE ON documents
        FOR EACH ROW EXECUTE FUNCTION notify_document()
    """,
)


def upgrade() -> None:
    """Announce changes."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Be silent again."""
    op.execute("DROP TRIGGER documents_heard ON documents")
    op.execute("DROP FUNCTION notify_document()")
