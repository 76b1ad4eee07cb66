"""Where an access token may be sent: nowhere but to the resource that it is for (RFC 6750 §5.2, RFC 9728 §7.3)."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

import httpx

from steelcut.discovery import check_url


class Reach:
    """The places of ``resources``; everywhere, when one of them is a name that says nothing of where it is.

    ``within`` narrows the places down from origins to what lies below the path of each.
    """

    __slots__ = ("_places", "_within")

    def __init__(self, resources: Iterable[str], *, within: bool = False) -> None:
        """Raise ``ValueError`` for a resource that begins like a URL and is none."""
        named = tuple(resources)
        places = [_parsed(resource) for resource in named if is_url(resource)]
        self._places = tuple(places) if len(places) == len(named) else ()
        self._within = within

    def check(self, url: httpx.URL) -> None:
        """Raise ``ValueError`` when a token must not be sent to ``url``."""
        check_url(str(url), "URL of a request with an access token")
        if not self._places or any(self._holds(place, url) for place in self._places):
            return
        places = " and ".join(str(place) for place in self._places)
        raise ValueError(f"the access token is for {places}, so it is not sent to {_shown(url)}")

    def _holds(self, place: httpx.URL, url: httpx.URL) -> bool:
        if not same_origin(place, url):
            return False
        if not self._within:
            return True
        base, path = place.path.rstrip("/"), url.path
        # Behind the server's decoding, an encoded step upwards may be one.
        upwards = any(step in {".", ".."} for step in unquote(path).split("/"))
        return not upwards and (path.rstrip("/") == base or path.startswith(f"{base}/"))


def is_url(resource: str) -> bool:
    """Say whether ``resource`` is a place, and not only a name."""
    return resource.lower().startswith(("https://", "http://"))


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Say whether two URLs have scheme, host and port in common (RFC 6454 §5)."""
    # httpx writes scheme and host in lower case, and leaves out the port that the scheme has anyway. The host as it is
    # sent: not every one can be decoded (RFC 5891 §5).
    return (one.scheme, one.raw_host, one.port) == (other.scheme, other.raw_host, other.port)


def _parsed(resource: str) -> httpx.URL:
    try:
        return httpx.URL(resource)
    except httpx.InvalidURL:
        raise ValueError("the resource is not a URL") from None


def _shown(url: httpx.URL) -> str:
    """Return ``url`` without what may be secret in it."""
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))
