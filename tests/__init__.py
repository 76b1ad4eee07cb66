"""Behaviour, by flow: real sockets, a real PostgreSQL, real clients."""
