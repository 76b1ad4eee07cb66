"""Schema of the resource database, and what its run-time role may do."""

# The run-time role reads; publishing is the owner's.
GRANTS = ("GRANT SELECT ON documents, alembic_version TO {role}",)
