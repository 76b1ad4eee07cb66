"""The secret: where it comes from, how it may change, and that nobody sees it."""

from __future__ import annotations

import base64
import pickle
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pytest

import steelcut
from steelcut import (
    ClientError,
    RequestRefused,
    SecretUnavailable,
    Token,
    TokenCache,
    UnexpectedAnswer,
    Unreachable,
)
from tests.client.scripted import (
    HANG_UP,
    SECRET,
    Asked,
    Clock,
    Reply,
    Scripted,
    call,
    challenged,
    granted,
    quick,
    refused,
)


def secret_of(asked: Asked) -> str:
    """Return the secret of a request with Basic authentication."""
    encoded = (asked.authorization or "").removeprefix("Basic ")
    return unquote_plus(base64.b64decode(encoded).decode().partition(":")[2])


def only(*secrets: str) -> Any:
    """A token endpoint that takes these secrets alone."""

    def answer(asked: Asked) -> Reply:
        return granted("t1", 1000) if secret_of(asked) in secrets else refused("invalid_client", 401)

    return answer


def test_file_is_read_at_each_token_request(server: Scripted, clock: Clock, tmp_path: Path) -> None:
    """A rotation needs no restart; white space around the secret is not part of it."""
    file = tmp_path / "secret"
    file.write_text("one\n")
    server.says("/token", only("one"))
    auth = server.credentials(client_secret=None, client_secret_file=file, clock=clock)
    auth.token()
    file.write_text("two\n")
    server.says("/token", only("two"))
    clock.now += 1000
    auth.token()
    assert [secret_of(asked) for asked in server.asked] == ["one", "two"]


def test_secret_that_was_rotated_meanwhile_is_read_again(server: Scripted) -> None:
    """The server has forgotten the old one between our reading and its own: the next one is tried, once."""
    secrets = iter(["one", "two", "three"])
    server.says("/token", only("two"))
    assert server.credentials(client_secret=lambda: next(secrets)).token().value == "t1"
    assert [secret_of(asked) for asked in server.asked] == ["one", "two"]


@pytest.mark.parametrize("secrets", [["one", "one"], ["one", "two"]], ids=["the same", "another"])
def test_wrong_secret_is_tried_no_more_than_that(server: Scripted, secrets: list[str]) -> None:
    """Guessing is not what a client does."""
    left = iter(secrets)
    server.says("/token", refused("invalid_client", 401))
    with pytest.raises(RequestRefused):
        server.credentials(client_secret=lambda: next(left)).token()
    assert [secret_of(asked) for asked in server.asked] == list(dict.fromkeys(secrets))


def test_file_that_is_being_replaced_is_waited_for(server: Scripted, tmp_path: Path) -> None:
    """Empty for a moment, or not there."""
    file = tmp_path / "secret"
    file.write_text("one")
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        file.write_text("two" if len(waits) == 2 else "")

    auth = server.credentials(
        client_secret=None, client_secret_file=str(file), retries=steelcut.Retries(sleep=sleep)
    )
    file.unlink()
    server.says("/token", only("two"))
    assert auth.token().value == "t1"
    assert len(waits) == 2


@pytest.mark.parametrize(
    ("content", "cause"), [(None, "No such file"), (b" \n", "it is empty"), (b"\xff\xfe", "it is not text")]
)
def test_file_that_holds_no_secret(
    server: Scripted, tmp_path: Path, content: bytes | None, cause: str
) -> None:
    """Told at once, and later when it becomes so."""
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=cause):
        server.credentials(client_secret=None, client_secret_file=file)
    file.write_text("one")
    auth = server.credentials(client_secret=None, client_secret_file=file)
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SecretUnavailable, match=cause):
        auth.token()


@pytest.mark.parametrize("returned", ["", None, b"secret-word"], ids=["empty", "none", "bytes"])
def test_function_that_returns_no_secret(server: Scripted, returned: Any) -> None:
    """One sentence without what it returned."""
    with pytest.raises(SecretUnavailable, match="returned none") as raised:
        server.credentials(client_secret=lambda: returned).token()
    assert "secret-word" not in str(raised.value)


def test_error_of_the_function_reaches_the_caller(server: Scripted, kind: str) -> None:
    """As it is: whoever wrote it knows it."""

    def broken() -> str:
        raise LookupError("the vault is sealed")

    with pytest.raises(LookupError, match="sealed"):
        call(kind, server.credentials(client_secret=broken), ("GET", f"{server.url}/data"))


@pytest.mark.parametrize(
    ("offered", "authentication", "in_body"),
    [
        (None, None, False),
        (["client_secret_basic", "client_secret_post"], None, False),
        (["client_secret_post", "private_key_jwt"], None, True),
        (["private_key_jwt"], None, False),
        ("client_secret_post", None, False),
        (["client_secret_basic"], "client_secret_post", True),
        (["client_secret_post"], "client_secret_basic", False),
    ],
    ids=["not told", "both", "post alone", "neither", "no list", "post by choice", "basic by choice"],
)
def test_how_the_client_authenticates(
    server: Scripted, offered: Any, authentication: Any, *, in_body: bool
) -> None:
    """RFC 6749 §2.3.1: Basic, unless only the other is to be had; RFC 8414 §2."""
    metadata = {
        "issuer": server.url,
        "token_endpoint": f"{server.url}/token",
        "token_endpoint_auth_methods_supported": offered,
    }
    server.says("/.well-known/oauth-authorization-server", Reply(200, metadata))
    server.says("/token", granted("t1"))
    server.credentials(token_url=None, issuer=server.url, authentication=authentication).token()
    asked = server.asked[-1]
    assert (asked.form.get("client_secret") == [SECRET]) is in_body
    assert (asked.authorization is None) is in_body


def _failures(server: Scripted, kind: str) -> Iterator[ClientError]:
    """Everything that can go wrong with a token, at a server that repeats what it was sent."""

    def echo(asked: Asked) -> Reply:
        return Reply(500, {"sent": asked.body.decode(), "headers": dict(asked.headers)})

    def parrot(asked: Asked) -> Reply:
        return Reply(
            400, {"error": "invalid_request", "error_description": f"{secret_of(asked)} {asked.form}"}
        )

    for reply in (refused("invalid_client", 401), HANG_UP, echo, parrot, Reply(200, b"[]"), Reply(503)):
        for authentication in ("client_secret_basic", "client_secret_post"):
            server.says("/token", reply)
            auth = server.credentials(authentication=authentication, timeout=1)
            try:
                call(kind, auth, ("GET", f"{server.url}/data"))
            except ClientError as error:
                yield error


def _all_of(error: BaseException) -> str:
    """Return all that is said of an error and of those it came from, and what they hold."""
    shown = "".join(traceback.format_exception(error))
    seen: BaseException | None = error
    while seen is not None:
        shown += f"{seen!r} {vars(seen)!r} {seen.args!r}"
        request = getattr(seen, "_request", None)
        if request is not None:
            shown += f"{request.headers.raw!r} {request.read()!r}"
        seen = seen.__cause__ or seen.__context__
    return shown


def test_no_error_shows_the_secret(server: Scripted, kind: str) -> None:
    """Nor does any error in its chain hold the request that had it."""
    basic = base64.b64encode(f"jane:{SECRET}".encode()).decode()
    errors = list(_failures(server, kind))
    assert {type(error) for error in errors} == {RequestRefused, Unreachable, UnexpectedAnswer}
    for error in errors:
        shown = _all_of(error)
        assert SECRET not in shown
        assert basic not in shown


def test_no_repr_shows_the_secret_or_the_token(server: Scripted, tmp_path: Path) -> None:
    """Of nothing that hangs on the object, however deep."""
    server.says("/token", granted("token-word"))
    auth = server.credentials(
        cache=TokenCache(tmp_path / "tokens"), resource=server.url, parameters={"assertion": "secret-word"}
    )
    auth.token()
    shown = _deep_repr(auth)
    assert repr(auth) == (
        f"ClientCredentials(client_id='jane', token_url='{server.url}/token', resource=['{server.url}'])"
    )
    assert "Held(" in shown
    assert "TokenKeeper" in shown
    assert SECRET not in shown
    assert "token-word" not in shown


def _deep_repr(thing: object, depth: int = 4) -> str:
    """Return the repr of an object, and of all that it is made of in this package."""
    names = list(getattr(thing, "__dict__", ())) + [
        name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())
    ]
    parts = [getattr(thing, name) for name in names if hasattr(thing, name)]
    ours = [
        part for part in parts if type(part).__module__.startswith("steelcut") and not isinstance(part, Token)
    ]
    deeper = "".join(_deep_repr(part, depth - 1) for part in ours) if depth else ""
    return f"{thing!r} {deeper}"


@pytest.mark.parametrize(
    "error",
    [
        RequestRefused("https://a.example/token", 401, "invalid_client", "No.", "f00d", 3.0),
        UnexpectedAnswer("Odd.", status=503, retry_after=2.0),
        Unreachable("Gone."),
        SecretUnavailable("Lost."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_travel_between_processes(error: ClientError) -> None:
    """As a pool of processes sends them."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_error_says_all_that_the_server_said(server: Scripted) -> None:
    """RFC 6749 §5.2, for those who want to act on it."""
    server.says("/token", refused("invalid_scope", 400, X_Trace_Id="f00d"))
    with pytest.raises(RequestRefused) as raised:
        server.credentials(retries=quick()).token()
    error = raised.value
    assert (error.status, error.error, error.description) == (400, "invalid_scope", "No.")
    assert (error.trace_id, error.url) == ("f00d", f"{server.url}/token")
    assert str(error) == f"{server.url}/token refused the request (400 invalid_scope): No. Trace id: f00d"


def test_resource_challenge_is_no_place_for_commands_to_a_terminal(server: Scripted) -> None:
    """What a stranger says is made printable."""
    server.says("/token", granted("t1"))
    server.says("/data", challenged('Bearer error="insufficient\x1b[2J", error_description="\x1b]0;x"', 403))
    with pytest.raises(RequestRefused) as raised:
        server.credentials().fetch(f"{server.url}/data")
    assert str(raised.value).isprintable()
