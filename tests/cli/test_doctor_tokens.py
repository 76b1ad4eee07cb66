"""`steelcut doctor explain` for access tokens: what they say, and whether a resource server would take them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.cli import terminal
from tests.cli.doctoring import Doctor, Examined
from tests.support.issuer import TinyIssuer
from tests.support.system import GRANT, RESOURCE, System, listen, serving
from tests.support.tokens import LEFT_OUT, IssuerKey, base64url, encode, good_claims

AUDIENCE = "https://api.example.com/reports"


@pytest.fixture(scope="module")
async def issuer() -> AsyncIterator[TinyIssuer]:
    """An issuer whose tokens a test can make as it likes, truly signed."""
    listener = listen()
    tiny = TinyIssuer(listener)
    async with serving(tiny, listener):
        yield tiny


@pytest.fixture
def doctor(issuer: TinyIssuer) -> Doctor:
    """Somebody who has a token that was refused, and knows which issuer is trusted."""
    return Doctor({"RESOURCE_ISSUER": issuer.url})


async def explained(doctor: Doctor, token: str, *arguments: str, **changed: str) -> Examined:
    """Ask about a token on the standard input; nothing of it may come back but its claims."""
    examined = Examined(await doctor.explain("-", "--json", *arguments, stdin=f"{token}\n", **changed))
    assert examined.outcome.err == ""
    assert token.rpartition(".")[2] not in examined.outcome.out
    return examined


async def test_good_token_of_the_running_system(auth: httpx.AsyncClient, system: System) -> None:
    """Each part is shown with what it means; the verdict is that of the resource server, which takes it."""
    answer = await auth.post("/token", data=GRANT, auth=system.client.basic)
    token = answer.json()["access_token"]
    doctor = Doctor({"RESOURCE_ISSUER": system.issuer, "RESOURCE_BASE_URL": system.resource_base})
    examined = await explained(doctor, token, "--resource", RESOURCE)
    assert examined.outcome.code == 0
    assert set(examined.states().values()) == {"ok"}
    assert [finding["check"] for finding in examined.findings] == [
        *("header typ", "header alg", "header kid", "signature"),
        *("claim iss", "claim sub", "claim aud", "claim client_id", "claim scope", "claim iat", "claim exp"),
        *("claim jti", "verdict"),
    ]
    assert "RFC 9068" in examined.of("claim aud")["found"]
    assert f"It would be accepted at {system.document_url}" in examined.of("verdict")["found"]
    by_url = await explained(doctor, token, "--resource", system.document_url)
    assert by_url.outcome.code == 0


async def test_expired_token(doctor: Doctor, issuer: TinyIssuer) -> None:
    """When it ended, and what to do; everything else of it is good."""
    token = issuer.token(AUDIENCE, iat=int(time.time()) - 7200, exp=int(time.time()) - 3600)
    examined = await explained(doctor, token, "--resource", AUDIENCE)
    assert examined.outcome.code == 1
    assert examined.only("failed") == ["claim exp", "verdict"]
    assert "60 min ago" in examined.of("claim exp")["found"]
    assert "It is refused: expired." in examined.of("claim exp")["found"]
    assert "Ask for a new one" in examined.of("claim exp")["advice"]
    assert examined.of("signature")["state"] == "ok"


async def test_token_for_another_audience(doctor: Doctor, issuer: TinyIssuer) -> None:
    """The commonest refusal, and the one that a caller cannot see."""
    examined = await explained(doctor, issuer.token(AUDIENCE), "--resource", "https://api.example.com/other")
    assert examined.outcome.code == 1
    assert examined.only("failed") == ["claim aud", "verdict"]
    assert AUDIENCE in examined.of("claim aud")["found"]
    assert "at https://api.example.com/other" in examined.of("verdict")["found"]


async def test_all_that_is_wrong_is_found(doctor: Doctor, issuer: TinyIssuer) -> None:
    """Whoever corrects the one thing does not come back with the other."""
    token = issuer.token(
        "https://elsewhere.example.com", exp=int(time.time()) - 60, iat=int(time.time()) - 120
    )
    examined = await explained(doctor, token, "--resource", AUDIENCE)
    assert examined.only("failed") == ["claim aud", "claim exp", "verdict"]


async def test_clocks_that_differ(doctor: Doctor, issuer: TinyIssuer) -> None:
    """A token of the future."""
    examined = await explained(
        doctor, issuer.token(AUDIENCE, iat=int(time.time()) + 330), "--resource", AUDIENCE
    )
    assert examined.only("failed") == ["claim iat", "verdict"]
    assert "in 5 min" in examined.of("claim iat")["found"]
    assert "steelcut doctor" in examined.of("claim iat")["advice"]


async def test_leeway_is_the_resource_servers(doctor: Doctor, issuer: TinyIssuer) -> None:
    """What it would still take is no failure."""
    token = issuer.token(AUDIENCE, iat=int(time.time()) - 600, exp=int(time.time()) - 20)
    assert (await explained(doctor, token, "--resource", AUDIENCE)).outcome.code == 0
    strict = await explained(doctor, token, "--resource", AUDIENCE, RESOURCE_LEEWAY_SECONDS="5")
    assert strict.only("failed") == ["claim exp", "verdict"]


async def test_token_that_was_altered(doctor: Doctor, issuer: TinyIssuer) -> None:
    """None of its claims is called good: they are anybody's word."""
    header, _, signature = issuer.token(AUDIENCE).split(".")
    claims = base64url(encode(good_claims(issuer.url, AUDIENCE, scope="read write")))
    examined = await explained(doctor, f"{header}.{claims}.{signature}", "--resource", AUDIENCE)
    assert examined.only("failed") == ["signature", "verdict"]
    assert examined.of("claim scope")["state"] == "not checked"
    assert "trust nothing in it" in examined.of("signature")["advice"]


async def test_token_of_an_unknown_key(doctor: Doctor, issuer: TinyIssuer) -> None:
    """Retired, revoked, or of another deployment."""
    token = IssuerKey.generate(kid="key-2").token(good_claims(issuer.url, AUDIENCE))
    examined = await explained(doctor, token, "--resource", AUDIENCE)
    assert examined.only("failed") == ["header kid", "verdict"]
    assert examined.of("claim iss")["state"] == "not checked"


async def test_token_of_another_issuer(doctor: Doctor, issuer: TinyIssuer) -> None:
    """Whom it names is shown, and not asked."""
    token = issuer.key.token(good_claims("https://other.example.com", AUDIENCE))
    examined = await explained(doctor, token, "--resource", AUDIENCE)
    assert examined.only("failed") == ["claim iss", "verdict"]
    assert "https://other.example.com" in examined.of("claim iss")["found"]


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"scope": LEFT_OUT}, "claim scope", "Claim scope is missing"),
        ({"exp": "soon"}, "claim exp", "is refused"),
        ({"cnf": {"jkt": "x"}}, "claim cnf", "bound to a key"),
        ({"nbf": 4_000_000_000, "exp": 4_000_000_600}, "claim nbf", "not valid yet"),
    ],
)
async def test_claim_that_is_wrong(
    doctor: Doctor, issuer: TinyIssuer, changes: dict[str, Any], place: str, words: str
) -> None:
    """It is told where it stands, or that it does not."""
    examined = await explained(doctor, issuer.token(AUDIENCE, **changes), "--resource", AUDIENCE)
    assert place in examined.only("failed")
    assert words in examined.of(place)["found"]


@pytest.mark.parametrize(
    ("changes", "place"),
    [({"typ": "JWT"}, "header typ"), ({"alg": "none"}, "header alg"), ({"crit": ["x"]}, "header crit")],
)
async def test_header_that_is_wrong(
    doctor: Doctor, issuer: TinyIssuer, changes: dict[str, Any], place: str
) -> None:
    """An ID token, no signature at all, an extension that nobody here understands."""
    token = issuer.key.token(good_claims(issuer.url, AUDIENCE), **changes)
    examined = await explained(doctor, token, "--resource", AUDIENCE)
    assert examined.only("failed") == [place, "verdict"]


async def test_without_a_resource_all_but_the_audience_is_judged(doctor: Doctor, issuer: TinyIssuer) -> None:
    """What is not said is not judged."""
    examined = await explained(doctor, issuer.token(AUDIENCE))
    assert examined.outcome.code == 0
    assert examined.only("not checked") == ["claim aud"]
    assert "--resource" in examined.of("claim aud")["advice"]


async def test_without_an_issuer_nothing_is_believed(issuer: TinyIssuer) -> None:
    """It is decoded, nobody is asked, least of all whom the token names."""
    asked = issuer.jwks_requests
    examined = await explained(Doctor({}), issuer.token(AUDIENCE), "--resource", AUDIENCE)
    assert examined.outcome.code == 0
    assert set(examined.states().values()) == {"not checked"}
    assert "--issuer" in examined.of("signature")["advice"]
    assert issuer.jwks_requests == asked


async def test_issuer_that_does_not_answer(doctor: Doctor, issuer: TinyIssuer) -> None:
    """Then the signature cannot be judged, and that is no verdict."""
    token = issuer.key.token(good_claims("http://127.0.0.1:1", AUDIENCE))
    examined = await explained(doctor, token, "--issuer", "http://127.0.0.1:1", "--resource", AUDIENCE)
    assert examined.outcome.code == 0
    assert "Connection refused" in examined.of("signature")["found"]
    assert examined.of("verdict")["state"] == "not checked"


async def test_keys_where_the_resource_service_reads_them(issuer: TinyIssuer) -> None:
    """An issuer that cannot be reached under its name from here (ADR 0006)."""
    token = issuer.key.token(good_claims("http://127.0.0.1:1", AUDIENCE))
    doctor = Doctor({"RESOURCE_ISSUER": "http://127.0.0.1:1", "RESOURCE_JWKS_URI": f"{issuer.url}/keys"})
    assert (await explained(doctor, token, "--resource", AUDIENCE)).outcome.code == 0


async def test_token_among_the_arguments_is_warned_of(doctor: Doctor, issuer: TinyIssuer) -> None:
    """Others can read it there; it is explained all the same."""
    token = issuer.token(AUDIENCE)
    shown = await doctor.explain(token, "--resource", AUDIENCE)
    assert shown.code == 0
    assert "can be read by every user of this machine" in shown.err
    assert token not in shown.out + shown.err
    assert "ok           verdict: It would be accepted" in shown.out


async def test_header_value_whole(doctor: Doctor, issuer: TinyIssuer) -> None:
    """With the word Bearer before it, as it is copied from a request."""
    assert (await explained(doctor, f"Bearer {issuer.token(AUDIENCE)}")).outcome.code == 0


async def test_claims_are_shown_as_text(doctor: Doctor, issuer: TinyIssuer) -> None:
    """What a terminal would take for commands is not sent to it, and what is long is cut."""
    token = issuer.token(AUDIENCE, note="\x1b[2J" + "x" * 1000)
    shown = await doctor.explain("-", stdin=token)
    assert "\x1b" not in shown.out
    assert "x" * 100 in shown.out
    assert "x" * 300 not in shown.out


@pytest.mark.parametrize("token", ["a.b.c", "e30.e30.", "a.b.c.d.e", "e30.e30.x.y", "x" * 9000 + ".e30.e30"])
async def test_what_only_looks_like_a_token(doctor: Doctor, token: str) -> None:
    """One line that says what is wrong with its form, no traceback."""
    shown = await doctor.explain("-", "--json", stdin=token)
    assert shown.code == 1
    assert "unexpected" not in shown.err


def test_resource_by_name_needs_the_base_url() -> None:
    """Which URL it stands for is said nowhere else."""
    refused = terminal.run("doctor", "explain", "-", "--resource", "reports", stdin=b"e30.e30.e30")
    assert refused.code == 2
    assert "RESOURCE_BASE_URL" in refused.sentence


def test_issuer_that_can_be_none() -> None:
    """Plain http elsewhere than on this machine."""
    refused = terminal.run(
        "doctor", "explain", "-", "--issuer", "http://auth.example.com", stdin=b"e30.e30.e30"
    )
    assert refused.code == 2
    assert "must be https" in refused.sentence
