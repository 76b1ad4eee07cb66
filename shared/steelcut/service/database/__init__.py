"""The way to PostgreSQL: which host, which connection, what is heard by it, and the schema."""
