"""Schema of the resource database, and what each of its roles may do."""

# The run-time role reads.
GRANTS = ("GRANT SELECT ON documents, alembic_version TO {role}",)

# The name of the psql variable that `steelcut db upgrade --sql` puts in the place of the third role.
ADMIN_VARIABLE = "publisher"
# The publisher, who has here the place of the administrator: changes documents, defines nothing.
ADMIN_GRANTS = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON documents TO {role}",
    "GRANT SELECT ON alembic_version TO {role}",
)
