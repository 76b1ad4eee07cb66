"""The authorization server: clients authenticate at ``/token`` and get RFC 9068 access tokens."""
