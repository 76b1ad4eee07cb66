"""The administration over HTTP, ``{issuer}/admin/v1``: routes that only call ``auth_service.administration``.

A process has it that was given ``AUTH_ADMIN_DATABASE_URL``. A request is read from ``routing.AdminRoute``:
``admission`` (whose token, which scope) → ``request_body`` → the route's function → ``policy`` (may they touch this
client) → ``idempotency`` → the function of ``administration``; whatever is refused on the way is answered by
``problems``.
"""
