"""HTTP, from the bytes of a connection to the application and back."""
