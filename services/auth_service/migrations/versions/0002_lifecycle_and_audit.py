"""Clients, secrets, resources and keys get a life; every change and every token an audit event."""

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    # Clients: on and off, until when, what the operator notes, and a version against lost updates.
    """
    ALTER TABLE clients
        ADD COLUMN enabled    boolean NOT NULL DEFAULT true,
        ADD COLUMN expires_at timestamptz,
        ADD COLUMN metadata   jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
        ADD COLUMN version    bigint NOT NULL DEFAULT 1,
        ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now()
    """,
    # What nobody used since is for the least-privilege report; for grants of before, since now.
    "ALTER TABLE client_grants ADD COLUMN granted_at timestamptz NOT NULL DEFAULT now()",
    "ALTER TABLE client_secrets ADD COLUMN label text NOT NULL DEFAULT ''",
    # A secret from another server has a slow hash and no id inside: with more than one, each try would cost several.
    """
    CREATE UNIQUE INDEX client_secrets_imported ON client_secrets (client_id) WHERE secret_id LIKE 'imported-%'
    """,
    # Resources: which of the granted scopes a client gets that asks for none.
    """
    ALTER TABLE resources
        ADD COLUMN version    bigint NOT NULL DEFAULT 1,
        ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now()
    """,
    "ALTER TABLE resource_scopes ADD COLUMN is_default boolean NOT NULL DEFAULT false",
    """
    ALTER TABLE signing_keys
        ADD COLUMN retiring_at    timestamptz,
        ADD COLUMN retired_at     timestamptz,
        ADD COLUMN compromised    boolean NOT NULL DEFAULT false,
        ADD COLUMN lifetime_limit integer NOT NULL DEFAULT 86400,
        ADD COLUMN jwks_age_limit integer NOT NULL DEFAULT 0,
        ADD COLUMN refresh_limit  integer NOT NULL DEFAULT 0
    """,
    # Nobody noted the lifetimes of the keys that exist, so they keep the longest possible; a new key starts at none.
    "ALTER TABLE signing_keys ALTER COLUMN lifetime_limit SET DEFAULT 0",
    # By it a replica says, before it serves a key, how long its tokens live, how long its key set may be kept and how
    # long it may go on with old keys, in seconds: the longest of each decide when a key may be promoted or retired.
    # Runs with the owner's rights: the run-time role can raise these three numbers and change nothing else of a key.
    """
    CREATE FUNCTION note_key_in_service(kids text[], lifetime integer, jwks_age integer, refresh integer)
    RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    BEGIN
        -- Every UPDATE is told to all replicas: none that changes nothing.
        IF NOT EXISTS (SELECT FROM signing_keys WHERE kid = ANY (kids)
                          AND (lifetime_limit < lifetime OR jwks_age_limit < jwks_age OR refresh_limit < refresh)) THEN
            RETURN;
        END IF;
        -- The lock of all who change keys.
        PERFORM pg_advisory_xact_lock(7359064923);
        UPDATE signing_keys
           SET lifetime_limit = greatest(lifetime_limit, least(lifetime, 86400)),
               jwks_age_limit = greatest(jwks_age_limit, least(jwks_age, 86400)),
               refresh_limit  = greatest(refresh_limit, least(refresh, 86400))
         WHERE kid = ANY (kids);
    END $$
    """,
    "REVOKE ALL ON FUNCTION note_key_in_service(text[], integer, integer, integer) FROM PUBLIC",
    # What was used when, kept apart from the clients, so that the run-time role need not change those.
    # No foreign keys: a batch of usage must not fail because a secret was revoked meanwhile.
    """
    CREATE TABLE secret_usage (
        client_id    text NOT NULL,
        secret_id    text NOT NULL,
        last_used_at timestamptz NOT NULL,
        last_address text NOT NULL DEFAULT '',
        PRIMARY KEY (client_id, secret_id)
    )
    """,
    """
    CREATE TABLE grant_usage (
        client_id    text NOT NULL,
        resource     text NOT NULL,
        scope        text NOT NULL,
        last_used_at timestamptz NOT NULL,
        PRIMARY KEY (client_id, resource, scope)
    )
    """,
    "CREATE INDEX grant_usage_by_resource ON grant_usage (resource, scope)",
    # Answers of creations that may be repeated (Idempotency-Key), sealed under the master key: they hold secrets.
    """
    CREATE TABLE idempotent_answers (
        actor         text NOT NULL,
        key           text NOT NULL,
        request_hash  bytea NOT NULL,
        status        smallint NOT NULL,
        sealed_answer bytea NOT NULL,
        master_key_id text NOT NULL,
        created_at    timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (actor, key)
    )
    """,
    "CREATE INDEX idempotent_answers_by_age ON idempotent_answers (created_at)",
    """
    CREATE TABLE audit_events (
        at          timestamptz NOT NULL DEFAULT clock_timestamp(),
        event_id    uuid NOT NULL DEFAULT gen_random_uuid(),
        actor       text NOT NULL,
        action      text NOT NULL,
        object_type text NOT NULL,
        object_id   text NOT NULL,
        outcome     text NOT NULL DEFAULT 'done',
        reason      text NOT NULL DEFAULT '',
        before      jsonb,
        after       jsonb,
        trace_id    text NOT NULL DEFAULT '',
        address     text NOT NULL DEFAULT '',
        -- Who follows the log asks by it for what was committed since: nothing is missed or read twice.
        transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
        PRIMARY KEY (at, event_id)
    ) PARTITION BY RANGE (at)
    """,
    "CREATE INDEX audit_events_by_object ON audit_events (object_type, object_id, at)",
    "CREATE INDEX audit_events_by_actor ON audit_events (actor, at)",
    "CREATE INDEX audit_events_by_transaction ON audit_events (transaction_id)",
    "CREATE INDEX audit_events_by_trace ON audit_events (trace_id) WHERE trace_id <> ''",
    # Who serves tokens to strangers may note what the token endpoint decided, and feign no change: what others did is
    # noted only by who can do it. AFTER, since a BEFORE trigger would make COPY write row by row.
    """
    CREATE FUNCTION refuse_feigned_event() RETURNS trigger
    LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
    BEGIN
        IF NOT has_table_privilege('clients', 'UPDATE') THEN
            RAISE EXCEPTION 'this role may note only what the token endpoint decided'
                USING ERRCODE = 'insufficient_privilege';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER audit_events_feigned AFTER INSERT ON audit_events FOR EACH ROW
        WHEN (NEW.action NOT IN ('token.issue', 'token.refuse')) EXECUTE FUNCTION refuse_feigned_event()
    """,
    # Whatever no month takes: an event is never lost because a partition is missing.
    "CREATE TABLE audit_events_other PARTITION OF audit_events DEFAULT",
    # Runs with the owner's rights, so that the administrator role needs no DDL: makes the coming months, and drops
    # the months that ended before the retention. Returns what it dropped, in words: partitions by their names, and
    # how many events of no month. It gives up (55P03) rather than keep the writers waiting behind somebody who reads
    # for long.
    """
    CREATE FUNCTION audit_maintain(months_kept integer) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '1s' AS $$
    DECLARE
        this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
        kept_from timestamptz := (this_month - make_interval(months => months_kept - 1)) AT TIME ZONE 'UTC';
        begins timestamptz;
        ends timestamptz;
        partition text;
        others bigint;
    BEGIN
        IF months_kept < 1 THEN
            RAISE EXCEPTION 'at least one month is kept';
        END IF;
        PERFORM pg_advisory_xact_lock(7359064922);
        FOR ahead IN 0..3 LOOP
            begins := (this_month + make_interval(months => ahead)) AT TIME ZONE 'UTC';
            ends := (this_month + make_interval(months => ahead + 1)) AT TIME ZONE 'UTC';
            partition := format('audit_events_%s', to_char(begins AT TIME ZONE 'UTC', 'YYYY_MM'));
            IF to_regclass(partition) IS NULL THEN
                -- What came while the month was missing lies among the others, and would forbid to make it.
                EXECUTE format('CREATE TABLE %I (LIKE audit_events INCLUDING DEFAULTS)', partition);
                EXECUTE format(
                    'WITH moved AS (DELETE FROM audit_events_other WHERE at >= %L AND at < %L RETURNING *)'
                    ' INSERT INTO %I SELECT * FROM moved', begins, ends, partition);
                EXECUTE format(
                    'ALTER TABLE audit_events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    partition, begins, ends);
            END IF;
        END LOOP;
        FOR partition IN
            SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'audit_events'::regclass AND c.relname ~ '^audit_events_[0-9]{4}_[0-9]{2}$'
             ORDER BY c.relname
        LOOP
            IF to_date(substr(partition, 14), 'YYYY_MM')::timestamp AT TIME ZONE 'UTC' < kept_from THEN
                EXECUTE format('DROP TABLE %I', partition);
                RETURN NEXT partition;
            END IF;
        END LOOP;
        DELETE FROM audit_events_other WHERE at < kept_from;
        GET DIAGNOSTICS others = ROW_COUNT;
        IF others > 0 THEN
            RETURN NEXT format('events of no month: %s', others);
        END IF;
    END $$
    """,
    "REVOKE ALL ON FUNCTION audit_maintain(integer) FROM PUBLIC",
    "SELECT audit_maintain(120)",
    # Every replica hears of a change at commit: the id of the client, '*' for all of them, or that keys changed.
    """
    CREATE FUNCTION notify_client() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
    BEGIN
        PERFORM pg_notify('steelcut_clients', coalesce(NEW.client_id, OLD.client_id));
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION notify_resources() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
    BEGIN
        PERFORM pg_notify('steelcut_resources', '');
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION notify_keys() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
    BEGIN
        PERFORM pg_notify('steelcut_keys', '');
        RETURN NULL;
    END $$
    """,
    *(
        f"CREATE TRIGGER {table}_heard AFTER INSERT OR UPDATE OR DELETE ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION notify_client()"
        for table in ("clients", "client_grants", "client_secrets")
    ),
    *(
        f"CREATE TRIGGER {table}_heard AFTER INSERT OR UPDATE OR DELETE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION notify_resources()"
        for table in ("resources", "resource_scopes")
    ),
    """
    CREATE TRIGGER signing_keys_heard AFTER INSERT OR UPDATE OR DELETE ON signing_keys
        FOR EACH STATEMENT EXECUTE FUNCTION notify_keys()
    """,
)


def upgrade() -> None:
    """Add what has a life."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Take it away again; audit events and usage are lost."""
    for table in (
        "clients",
        "client_grants",
        "client_secrets",
        "resources",
        "resource_scopes",
        "signing_keys",
    ):
        op.execute(f"DROP TRIGGER {table}_heard ON {table}")
    op.execute("DROP FUNCTION notify_client(), notify_resources(), notify_keys(), audit_maintain(integer)")
    op.execute("DROP FUNCTION note_key_in_service(text[], integer, integer, integer)")
    op.execute("DROP TABLE audit_events, idempotent_answers, grant_usage, secret_usage")
    op.execute("DROP FUNCTION refuse_feigned_event()")
    op.execute(
        "ALTER TABLE signing_keys DROP retiring_at, DROP retired_at, DROP compromised, DROP lifetime_limit,"
        " DROP jwks_age_limit, DROP refresh_limit"
    )
    op.execute("ALTER TABLE resource_scopes DROP is_default")
    op.execute("ALTER TABLE resources DROP version, DROP updated_at")
    op.execute("DROP INDEX client_secrets_imported")
    op.execute("ALTER TABLE client_secrets DROP label")
    op.execute("ALTER TABLE client_grants DROP granted_at")
    op.execute(
        "ALTER TABLE clients DROP enabled, DROP expires_at, DROP metadata, DROP version, DROP updated_at"
    )
