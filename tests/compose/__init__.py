"""The system in containers, on a real engine: `make compose-test`."""
