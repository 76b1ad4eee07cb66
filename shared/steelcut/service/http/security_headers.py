"""What every answer of a service tells a browser: these are machines' answers, to be shown, framed and sniffed nowhere.

They are uvicorn's default fields, so that no answer can lack them: not one that failed, nor one to what never became a
request.
"""

from __future__ import annotations

from typing import Final

POLICY_FIELD: Final = "content-security-policy"
# JSON loads nothing. Whoever gets a browser to show it as a page has a page that can do nothing.
POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
# A year, for this host alone: which others of the domain speak TLS is not ours to say (RFC 6797 §6.1).
TRANSPORT_SECONDS: Final = 365 * 24 * 3600


def security_headers(*, https: bool) -> list[tuple[str, str]]:
    """Return the fields; with ``https``, the one that a service over plain HTTP may not send (RFC 6797 §7.2)."""
    fields = [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        (POLICY_FIELD, POLICY),
    ]
    if https:
        fields.append(("strict-transport-security", f"max-age={TRANSPORT_SECONDS}"))
    return fields
