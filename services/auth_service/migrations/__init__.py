"""Schema of the auth database, and what its run-time role may do."""

# The run-time role reads; it can change or delete no client, secret, grant, resource or key.
GRANTS = (
    "GRANT SELECT ON clients, client_grants, client_secrets TO {role}",
    "GRANT SELECT ON resources, resource_scopes, signing_keys, alembic_version TO {role}",
)
