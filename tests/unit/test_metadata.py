"""Metadata of issuers and resources: where it is looked for, and what is not believed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from steelcut import UnexpectedAnswer, Unreachable
from steelcut.discovery import metadata_urls
from steelcut.exchange import Exchange
from steelcut.metadata import issuer_metadata, resource_metadata, token_endpoint

ISSUER = "https://auth.example.com/realms/one"
RFC_8414 = "https://auth.example.com/.well-known/oauth-authorization-server/realms/one"
OPENID = "https://auth.example.com/realms/one/.well-known/openid-configuration"
RESOURCE = "https://api.example.com/reports"
RFC_9728 = "https://api.example.com/.well-known/oauth-protected-resource/reports"

Respond = Callable[[httpx.Request], httpx.Response]


def exchange(answers: Mapping[str, Any]) -> tuple[Exchange, list[str]]:
    """Return an exchange with a server that knows ``answers``, and what it was asked for."""
    asked: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        answer = answers.get(str(request.url), 404)
        return httpx.Response(answer) if isinstance(answer, int) else httpx.Response(200, json=answer)

    return Exchange(transport=httpx.MockTransport(respond)), asked


def test_standard_place_comes_first_and_is_enough() -> None:
    """RFC 8414 §3.1: between host and path."""
    reach, asked = exchange({RFC_8414: {"issuer": ISSUER}})
    assert issuer_metadata(reach, ISSUER) == {"issuer": ISSUER}
    assert asked == [RFC_8414]


@pytest.mark.parametrize("status", [302, 400, 403, 404, 405, []])
def test_issuer_that_knows_openid_alone_is_found(status: object) -> None:
    """Entra and others publish nothing at the standard's place."""
    reach, asked = exchange({RFC_8414: status, OPENID: {"issuer": ISSUER}})
    assert issuer_metadata(reach, ISSUER) == {"issuer": ISSUER}
    assert asked == [RFC_8414, OPENID]


def test_slash_at_the_end_of_an_issuer_belongs_to_its_name_alone() -> None:
    """Auth0's issuers end in one; RFC 8414 §3.1 takes it away to find the metadata."""
    assert metadata_urls("https://tenant.example.com/") == (
        "https://tenant.example.com/.well-known/oauth-authorization-server",
        "https://tenant.example.com/.well-known/openid-configuration",
    )
    reach, _ = exchange(
        {metadata_urls("https://tenant.example.com/")[1]: {"issuer": "https://tenant.example.com/"}}
    )
    assert issuer_metadata(reach, "https://tenant.example.com/")["issuer"].endswith("/")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({RFC_8414: {"issuer": "https://evil.example.com"}}, "belongs to another issuer"),
    "another spelling": ({RFC_8414: {"issuer": ISSUER + "/"}}, "belongs to another issuer"),
    "nothing anywhere": ({}, r"oauth-authorization-server/realms/one gave no metadata \(status 404\)"),
    "an array twice": ({RFC_8414: [], OPENID: []}, "gave no metadata"),
    "too many requests": ({RFC_8414: 429, OPENID: {"issuer": ISSUER}}, r"status 429"),
    "a server error": ({RFC_8414: 500, OPENID: {"issuer": ISSUER}}, r"status 500"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_metadata_that_is_not_the_issuers_is_not_used(case: str) -> None:
    """RFC 8414 §3.3: identical, or nothing; and a server in trouble is not taken for one without metadata."""
    answers, message = REFUSED[case]
    reach, _ = exchange(answers)
    with pytest.raises(UnexpectedAnswer, match=message):
        issuer_metadata(reach, ISSUER)


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        (None, "names no token endpoint"),
        (7, "names no token endpoint"),
        ("http://evil.example.com/t", "must be https"),
    ],
)
def test_token_endpoint_must_be_one_for_secrets(endpoint: object, message: str) -> None:
    """The client's secret goes there."""
    with pytest.raises(UnexpectedAnswer, match=message):
        token_endpoint({"issuer": ISSUER, "token_endpoint": endpoint})


def test_metadata_of_a_resource_must_be_of_that_resource() -> None:
    """RFC 9728 §3.3: identical to the resource that was asked about, wherever a challenge says it lies."""
    reach, asked = exchange({RFC_9728: {"resource": RESOURCE, "authorization_servers": [ISSUER]}})
    assert resource_metadata(reach, RESOURCE)["authorization_servers"] == [ISSUER]
    assert asked == [RFC_9728]
    reach, _ = exchange({"https://api.example.com/meta": {"resource": "https://api.example.com/other"}})
    with pytest.raises(UnexpectedAnswer, match="belongs to another resource"):
        resource_metadata(reach, RESOURCE, url="https://api.example.com/meta")
    with pytest.raises(ValueError, match="must be https"):
        resource_metadata(reach, RESOURCE, url="http://api.example.com/meta")


def test_issuer_that_is_not_there_is_unreachable() -> None:
    """No answer is another thing than a wrong one."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("[Errno 111] Connection refused", request=request)

    with pytest.raises(Unreachable, match="cannot be reached: Connection refused"):
        issuer_metadata(Exchange(transport=httpx.MockTransport(refuse)), ISSUER)
