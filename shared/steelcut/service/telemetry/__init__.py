"""What a service tells of its work: logs, counts and metrics, traces."""
