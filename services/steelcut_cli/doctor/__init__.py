"""``steelcut doctor``: whether a deployment fits together, and what a token, a trace id or an error code says."""
