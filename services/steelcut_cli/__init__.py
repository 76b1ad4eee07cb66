"""The `steelcut` command; the only room that may import both services."""
