"""``steelcut import hydra``: clients as Hydra's API and Hydra's table describe them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auth_service.administration.errors import Invalid
from auth_service.transfer import hydra
from auth_service.transfer.catalogue import Catalogue
from auth_service.transfer.records import Item, ResourceRecord
from auth_service.transfer.writing import take
from tests.support.foreign import SECRET, bcrypt_hash, hydra_pbkdf2
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, GRANT, RESOURCE, Registered, System

IDENTIFIER = "https://api.example.com/api_v0.0.1"
HERE = ResourceRecord(RESOURCE, IDENTIFIER, ("read", "write"))
OTHER = ResourceRecord("other", "https://other.example.com", ("admin",))

CLIENT: dict[str, Any] = {
    "client_id": "7f9d0bd2-5f3c-4a04-9d0f-1b7b3d6f1d11",
    "client_name": "Billing",
    "client_secret": hydra_pbkdf2(),
    "client_secret_expires_at": 0,
    "grant_types": ["client_credentials"],
    "response_types": [],
    "scope": "read write",
    "audience": [IDENTIFIER],
    "token_endpoint_auth_method": "client_secret_basic",
    "metadata": {"team": "finance"},
    "redirect_uris": [],
    "owner": "",
    "jwks": {},
}


def taken_from(*clients: Any, resource: str | None = None, base_url: str | None = None) -> list[Item]:
    """What is read of a list of clients."""
    return hydra.read(json.dumps(clients).encode(), Catalogue([HERE, OTHER], base_url), resource)


def test_client_of_the_api() -> None:
    """Name, hash, audience, scopes and metadata come over."""
    (item,) = taken_from(CLIENT)
    assert item.client is not None
    assert item.client.name == "Billing"
    assert item.client.grants == {RESOURCE: ("read", "write")}
    assert item.client.metadata == {"team": "finance", "imported_from": "hydra"}
    assert item.client.token_lifetime_seconds is None
    assert item.client.secrets[0].label == "from Hydra"
    assert item.notes == ("the hash is written in another notation, of the same bits",)


@pytest.mark.parametrize(
    ("grant_types", "audience", "metadata"),
    [
        ('["client_credentials"]', f'["{IDENTIFIER}"]', '{"team": "finance"}'),
        ("client_credentials", IDENTIFIER, ""),
        (["client_credentials"], [IDENTIFIER], None),
    ],
    ids=["JSON in text", "words and bars", "null"],
)
def test_client_of_the_table(grant_types: Any, audience: Any, metadata: Any) -> None:
    """Rows of hydra_client name the id otherwise, and hold lists and objects in one of three ways."""
    row = {
        **CLIENT,
        "id": CLIENT["client_id"],
        "client_secret": bcrypt_hash(),
        "grant_types": grant_types,
        "audience": audience,
        "metadata": metadata,
        "client_credentials_grant_access_token_lifespan": 900_000_000_000,
    }
    del row["client_id"]
    (item,) = taken_from(row)
    assert item.client is not None
    assert item.client.client_id == CLIENT["client_id"]
    assert item.client.grants == {RESOURCE: ("read", "write")}
    assert item.client.token_lifetime_seconds == 900
    assert item.notes == ()


REFUSED: list[tuple[str, Any, str]] = [
    ("public", {"token_endpoint_auth_method": "none"}, "authenticates by 'none'"),
    (
        "by assertion",
        {"token_endpoint_auth_method": "private_key_jwt"},
        "by 'private_key_jwt', not by a secret",
    ),
    (
        "for people",
        {"grant_types": ["authorization_code", "refresh_token"]},
        "it uses authorization_code, refresh",
    ),
    ("by Hydra's default", {"grant_types": []}, "it uses authorization_code"),
    ("as the API shows it", {"client_secret": None}, "the secret is missing"),
    ("in clear", {"client_secret": SECRET}, "in clear or of no hash"),
    ("without a scope", {"scope": ""}, "it has no scope"),
    ("with people's scopes alone", {"scope": "openid offline_access"}, "it has no scope"),
    ("without an audience", {"audience": []}, "name the resource of such clients with --resource"),
    (
        "with an unknown audience",
        {"audience": ["https://x.example.com"]},
        "no resource 'https://x.example.com'",
    ),
    ("with a scope of another", {"scope": "read admin"}, "no resource of it knows the scope admin"),
    ("with an idle audience", {"audience": [IDENTIFIER, OTHER.identifier]}, "other knows none of its scopes"),
    ("with a scope that is none", {"scope": 're"ad'}, "without space, quote and backslash"),
    ("id of another type", {"client_id": 7}, "client_id: input should be a valid string"),
    ("id null", {"client_id": None}, "client_id: input should be a valid string"),
    ("audience of another type", {"audience": {"a": 1}}, "audience: input should be a valid list"),
    ("audience of numbers", {"audience": [1]}, "audience.0: input should be a valid string"),
    ("audience that is broken JSON", {"audience": "[oops"}, "audience: "),
    ("metadata of another type", {"metadata": "[1]"}, "metadata: input should be a valid dictionary"),
    ("metadata too large", {"metadata": {"x": "y" * 9000}}, "metadata is at most"),
    ("lifespan that is none", {"client_credentials_grant_access_token_lifespan": "soon"}, "no duration"),
    ("half a surrogate pair", {"client_id": "\ud800", "client_secret": "\ud800"}, "of no hash"),
    ("several of these", {"client_name": 1, "scope": 2, "audience": 3, "grant_types": 4}, "and 1 more"),
]


@pytest.mark.parametrize(("change", "reason"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_client_that_cannot_be_one_here(change: dict[str, Any], reason: str) -> None:
    """Each is refused by itself, with the reason, and without a value of the file."""
    good, item = taken_from({**CLIENT, "client_id": "good"}, {**CLIENT, **change})
    assert good.client is not None
    assert (item.place, item.client) == ("client 2", None)
    (said,) = item.notes
    assert reason in said
    assert SECRET not in said
    assert item.client_id.isascii()


def test_what_is_left_out_is_reported() -> None:
    """Grant types and scopes for people are dropped, long lives shortened, names tidied: each with a note."""
    (item,) = taken_from(
        {
            **CLIENT,
            "client_secret": bcrypt_hash(),
            "grant_types": ["client_credentials", "refresh_token"],
            "scope": "read offline openid",
            "client_name": "Bill\x1b[2J",
            "token_endpoint_auth_method": "",
            "client_credentials_grant_access_token_lifespan": "48h0m0s",
        }
    )
    assert item.client is not None
    assert item.client.name == "Bill\N{REPLACEMENT CHARACTER}[2J"
    assert (item.client.token_lifetime_seconds, item.client.grants) == (86_400, {RESOURCE: ("read",)})
    assert [note.split(" ")[1] for note in item.notes] == ["grant", "name", "scopes", "tokens"]


def test_scopes_go_to_the_audiences_that_know_them() -> None:
    """In Hydra scopes belong to no audience: here each resource takes its own, and no scope may be lost."""
    (item,) = taken_from({**CLIENT, "audience": [IDENTIFIER, "other"], "scope": "read admin"})
    assert item.client is not None
    assert item.client.grants == {RESOURCE: ("read",), "other": ("admin",)}


def test_audiences_become_resources_when_asked_for() -> None:
    """A URL keeps itself as identifier and lends its last segment as name; a word goes behind the base URL."""
    catalogue = Catalogue([HERE], "https://new.example.com")
    audiences = ["https://x.example.com/v1/reports", "ledger", "https://y.example.com", IDENTIFIER]
    data = json.dumps(
        [
            {**CLIENT, "client_id": str(number), "audience": [audience], "scope": "read"}
            for number, audience in enumerate(audiences)
        ]
        + [{**CLIENT, "client_id": "again", "audience": ["ledger"], "scope": "post"}]
        + [{**CLIENT, "client_id": "taken", "audience": ["https://z.example.com/reports"]}]
        + [{**CLIENT, "client_id": "no https", "audience": ["http://z.example.com/z"]}]
    ).encode()
    items = hydra.read(data, catalogue, None)
    assert [item.client is not None for item in items] == [True] * 5 + [False] * 2
    assert "the resource reports has its name" in items[5].notes[0]
    assert "must be https" in items[6].notes[0]
    granted = [name for item in items if item.client for name in item.client.grants]
    assert catalogue.new(granted) == [
        ResourceRecord("ledger", "https://new.example.com/ledger", ("post", "read")),
        ResourceRecord("reports", "https://x.example.com/v1/reports", ("read",)),
        ResourceRecord("y.example.com", "https://y.example.com", ("read",)),
    ]


def test_same_id_twice_and_things_that_are_no_clients() -> None:
    """A list that was glued together from two holds an id twice, and perhaps what is no object at all."""
    items = taken_from(CLIENT, CLIENT, 7, None, [], resource="other")
    assert [item.client is not None for item in items] == [True, False, False, False, False]
    assert items[1].notes == ("client 1 has the same client id",)
    assert {item.notes for item in items[2:]} == {("it is no JSON object",)}


FILES: list[tuple[str, bytes, str]] = [
    ("broken", b'[{"client_id": "a",\n "client_secret": "' + SECRET.encode() + b'" oops', "line 2, column"),
    ("empty", b"", "line 1, column 1"),
    ("not UTF-8", b'["\xff"]', "JSON in UTF-8"),
    ("no array", b'{"clients": 7}', "holds no array"),
    ("a number", b"7", "holds no array"),
    ("too deep", b"[" * 200_000, "not JSON"),
]


@pytest.mark.parametrize(("data", "sentence"), [f[1:] for f in FILES], ids=[f[0] for f in FILES])
def test_file_that_is_none(data: bytes, sentence: str) -> None:
    """Where the mistake is, is said; what stands there is not."""
    with pytest.raises(Invalid, match=sentence) as error:
        hydra.read(data, Catalogue([]), None)
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("name", ["items", "clients"])
def test_list_within_an_object(name: str) -> None:
    """The command line of Hydra puts its list into an object."""
    (item,) = hydra.read(json.dumps({name: [CLIENT]}).encode(), Catalogue([HERE]), None)
    assert item.client is not None


async def test_hydra_clients_move(start_system: Any) -> None:
    """Both kinds of hashes of Hydra get tokens here, for the scopes that were granted there."""
    system: System = await start_system()
    clients = [
        {**CLIENT, "client_id": "new", "audience": [], "scope": "read"},
        {**CLIENT, "client_id": "older", "audience": [RESOURCE], "client_secret": bcrypt_hash()},
    ]
    data = json.dumps(clients).encode()
    for expected in ("taken", "unchanged"):
        report = await system.as_admin(
            lambda c: take(c, ACTOR, "hydra", lambda k: hydra.read(data, k, RESOURCE), apply=True)
        )
        assert [line.outcome for line in report.lines] == [expected] * 2
    async with http_client(base_url=system.issuer) as http:
        for client_id, scope in (("new", "read"), ("older", "read write")):
            answer = await http.post("/token", data=GRANT, auth=Registered(client_id, SECRET).basic)
            assert (answer.status_code, answer.json()["scope"]) == (200, scope)
