"""The whole way, by clients that are not ours, and HTTP at its edges."""
