"""How much a caller may cost: failed authentications are slowed down, and tokens are counted where that is wanted."""
