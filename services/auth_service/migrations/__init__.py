"""Schema of the auth database, and what each of its roles may do."""

# Serves `/token`: reads what it must, adds audit events and usage; changes or deletes no client, secret, grant,
# resource, key or event. Of the log it writes what a token event has; the trigger ``audit_events_feigned`` refuses it
# events of other kinds.
GRANTS = (
    "GRANT SELECT ON clients, client_grants, client_secrets TO {role}",
    "GRANT SELECT ON resources, resource_scopes, signing_keys, alembic_version TO {role}",
    "GRANT EXECUTE ON FUNCTION note_key_in_service(text[], integer, integer, integer) TO {role}",
    (
        "GRANT INSERT (at, actor, action, object_type, object_id, outcome, reason, after, trace_id, address)"
        " ON audit_events TO {role}"
    ),
    "GRANT SELECT, INSERT ON secret_usage, grant_usage TO {role}",
    "GRANT UPDATE (last_used_at, last_address) ON secret_usage TO {role}",
    "GRANT UPDATE (last_used_at) ON grant_usage TO {role}",
)

# Administers: changes rows, defines nothing, and can neither change nor delete an audit event, nor say when it was.
ADMIN_GRANTS = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON clients, client_grants, client_secrets TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON resources, resource_scopes, signing_keys TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON secret_usage, grant_usage, idempotent_answers TO {role}",
    "GRANT SELECT ON audit_events TO {role}",
    "GRANT INSERT (actor, action, object_type, object_id, before, after, trace_id, address) ON audit_events TO {role}",
    "GRANT EXECUTE ON FUNCTION audit_maintain(integer) TO {role}",
    "GRANT SELECT ON alembic_version TO {role}",
)
