"""Clients, their secrets and grants, the resources they call, the keys that sign."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    r"""
    CREATE TABLE resources (
        resource_id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        name                   text NOT NULL UNIQUE CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$'),
        identifier             text NOT NULL UNIQUE
                               CHECK (identifier ~ '^[\x21-\x7E]+$' AND length(identifier) <= 2000),
        token_lifetime_seconds integer CHECK (token_lifetime_seconds BETWEEN 1 AND 86400),
        created_at             timestamptz NOT NULL DEFAULT now()
    )
    """,
    r"""
    CREATE TABLE resource_scopes (
        resource_id bigint NOT NULL REFERENCES resources ON DELETE CASCADE,
        scope       text NOT NULL CHECK (scope ~ '^[\x21\x23-\x5B\x5D-\x7E]{1,255}$'),
        PRIMARY KEY (resource_id, scope)
    )
    """,
    r"""
    CREATE TABLE clients (
        client_id              text PRIMARY KEY CHECK (client_id ~ '^[\x20-\x7E]{1,255}$'),
        name                   text NOT NULL CHECK (name <> ''),
        grant_types            text[] NOT NULL DEFAULT ARRAY['client_credentials'],
        default_resource_id    bigint REFERENCES resources,
        token_lifetime_seconds integer CHECK (token_lifetime_seconds BETWEEN 1 AND 86400),
        created_at             timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE client_grants (
        client_id   text NOT NULL REFERENCES clients ON DELETE CASCADE,
        resource_id bigint NOT NULL,
        scope       text NOT NULL,
        PRIMARY KEY (client_id, resource_id, scope),
        FOREIGN KEY (resource_id, scope) REFERENCES resource_scopes
    )
    """,
    "CREATE INDEX client_grants_by_scope ON client_grants (resource_id, scope)",
    """
    CREATE TABLE client_secrets (
        client_id  text NOT NULL REFERENCES clients ON DELETE CASCADE,
        secret_id  text NOT NULL,
        hash       text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz,
        PRIMARY KEY (client_id, secret_id)
    )
    """,
    """
    CREATE TABLE signing_keys (
        kid            text PRIMARY KEY,
        algorithm      text NOT NULL CHECK (algorithm IN ('ES256', 'RS256', 'EdDSA')),
        state          text NOT NULL CHECK (state IN ('pending', 'active', 'retiring', 'retired')),
        public_jwk     text NOT NULL,
        sealed_private bytea NOT NULL,
        master_key_id  text NOT NULL,
        created_at     timestamptz NOT NULL DEFAULT now(),
        activated_at   timestamptz
    )
    """,
    "CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (state) WHERE state = 'active'",
)


def upgrade() -> None:
    """Create everything."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop everything."""
    op.execute("DROP TABLE signing_keys, client_secrets, client_grants, clients, resource_scopes, resources")
