"""The resource server: protected JSON documents behind the guard."""
