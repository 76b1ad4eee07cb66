"""Every SQL statement of the authorization server: connection first, literal text, frozen values out."""
