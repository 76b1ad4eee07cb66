"""The `steelcut` command."""
