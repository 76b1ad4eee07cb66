"""``steelcut import django-oauth-toolkit``: applications as ``manage.py dumpdata`` writes them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auth_service.administration.errors import Invalid
from auth_service.transfer import django_oauth_toolkit
from auth_service.transfer.catalogue import Catalogue
from auth_service.transfer.records import Item, ResourceRecord
from auth_service.transfer.writing import take
from tests.support.foreign import SECRET, argon2_hash, django_bcrypt_sha256, django_pbkdf2, django_scrypt
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, GRANT, RESOURCE, Registered, System

HERE = ResourceRecord(RESOURCE, "https://api.example.com/api_v0.0.1", ("read", "write"))
GRANTS = {RESOURCE: ["read"]}

FIELDS: dict[str, Any] = {
    "client_id": "kVbZ2mJr1JWmQ4m0fZ3g1aYB1x8k8v0o7vE3",
    "user": None,
    "redirect_uris": "",
    "post_logout_redirect_uris": "",
    "client_type": "confidential",
    "authorization_grant_type": "client-credentials",
    "client_secret": django_pbkdf2(),
    "hash_client_secret": True,
    "name": "Billing",
    "skip_authorization": False,
    "created": "2031-01-02T03:04:05.678Z",
    "updated": "2031-01-02T03:04:05.678Z",
    "algorithm": "",
    "allowed_origins": "",
}


def fixture(*changes: dict[str, Any], model: str = "oauth2_provider.application") -> list[dict[str, Any]]:
    """One fixture entry for each set of changed fields."""
    return [
        {"model": model, "pk": number, "fields": {**FIELDS, **change}}
        for number, change in enumerate(changes, 1)
    ]


def taken_from(entries: list[Any], grants: Any = GRANTS, base_url: str | None = None) -> list[Item]:
    """What is read of a fixture."""
    return django_oauth_toolkit.read(json.dumps(entries).encode(), Catalogue([HERE], base_url), grants)


def test_application_is_taken() -> None:
    """Id, name and hash come over, and the grants that the operator names."""
    (item,) = taken_from(fixture({}))
    assert item.client is not None
    assert item.notes == ()
    assert (item.client.client_id, item.client.name) == (FIELDS["client_id"], "Billing")
    assert item.client.grants == {RESOURCE: ("read",)}
    assert item.client.secrets[0].label == "from django-oauth-toolkit"


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (
        "for people",
        {"authorization_grant_type": "authorization-code"},
        "'authorization-code', not client-cred",
    ),
    ("by password", {"authorization_grant_type": "password"}, "'password', not client-credentials"),
    ("public", {"client_type": "public"}, "public client"),
    ("in clear", {"hash_client_secret": False, "client_secret": SECRET}, "let Django hash it"),
    ("in clear, unnoticed", {"client_secret": SECRET}, "in clear or of no hash"),
    ("without a secret", {"client_secret": ""}, "the secret is missing"),
    ("fast hash", {"client_secret": "sha1$salt$" + "0" * 40}, "fast one"),
    ("id of another type", {"client_id": 7}, "client_id: input should be a valid string"),
    ("id null", {"client_id": None}, "client_id: input should be a valid string"),
    (
        "flag of another type",
        {"hash_client_secret": "yes"},
        "hash_client_secret: input should be a valid boolean",
    ),
    ("secret of another type", {"client_secret": [SECRET]}, "client_secret: input should be a valid string"),
]


@pytest.mark.parametrize(("change", "reason"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_application_that_cannot_be_a_client_here(change: dict[str, Any], reason: str) -> None:
    """Each is refused by itself, with the reason, and without a value of the file."""
    good, item = taken_from(fixture({"client_id": "good"}, change))
    assert good.client is not None
    assert (item.place, item.client) == ("object 2", None)
    (said,) = item.notes
    assert reason in said
    assert SECRET not in said


def test_names_are_tidied() -> None:
    """An application without a name is called by its id; one of 255 characters is cut, with a note."""
    nameless, long = taken_from(fixture({"name": ""}, {"client_id": "long", "name": "x" * 255}))
    assert nameless.client is not None
    assert long.client is not None
    assert (nameless.client.name, nameless.notes) == (FIELDS["client_id"], ())
    assert len(long.client.name) == 200
    assert long.notes == ("the name is cut to 200 printable characters",)


def test_other_objects_are_passed_over_and_broken_ones_refused() -> None:
    """A dump of a whole project holds more than applications; a model of the project's own is known by its fields."""
    entries = [
        {"model": "auth.user", "pk": 1, "fields": {"password": "secret"}},
        *fixture({}, {}, model="accounts.serviceapplication"),
        {"model": "oauth2_provider.application", "pk": 9, "fields": None},
        7,
    ]
    items = taken_from(entries)
    assert [(item.place, item.client is not None) for item in items] == [
        ("object 2", True),
        ("object 3", False),
        ("object 4", False),
        ("object 5", False),
    ]
    assert items[1].notes == ("object 2 has the same client id",)
    assert items[2].notes == items[3].notes == ("it is no JSON object",)


@pytest.mark.parametrize(
    ("grants", "reason"),
    [({"other": ["read"]}, "no resource 'other'"), ({RESOURCE: ["fly"]}, "api_v0.0.1 has no scope fly")],
    ids=["resource", "scope"],
)
def test_grants_must_exist(grants: Any, reason: str) -> None:
    """What the operator grants is checked as everywhere."""
    (item,) = taken_from(fixture({}), grants)
    assert reason in item.notes[0]


def test_resource_is_made_when_asked_for() -> None:
    """With a base URL the granted resource is made, with the granted scopes."""
    catalogue = Catalogue([], "https://new.example.com")
    data = json.dumps(fixture({})).encode()
    (item,) = django_oauth_toolkit.read(data, catalogue, {"reports": ["write", "read"]})
    assert item.client is not None
    assert catalogue.new(item.client.grants) == [
        ResourceRecord("reports", "https://new.example.com/reports", ("read", "write"))
    ]


def test_file_that_is_none() -> None:
    """A dump in another format is one sentence."""
    with pytest.raises(Invalid, match="The file is not JSON: line 1, column 1"):
        django_oauth_toolkit.read(b"<django-objects/>", Catalogue([]), GRANTS)


async def test_applications_move(start_system: Any) -> None:
    """Every hasher that Django ships for new secrets gets its client a token here; twice changes nothing."""
    system: System = await start_system()
    hashes = {
        "pbkdf2": django_pbkdf2(),
        "argon2": "argon2" + argon2_hash(),
        "bcrypt_sha256": django_bcrypt_sha256(),
        "scrypt": django_scrypt(),
    }
    entries = fixture(*({"client_id": name, "client_secret": hashed} for name, hashed in hashes.items()))
    data = json.dumps(entries).encode()
    for expected in ("taken", "unchanged"):
        report = await system.as_admin(
            lambda c: take(c, ACTOR, "test", lambda k: django_oauth_toolkit.read(data, k, GRANTS), apply=True)
        )
        assert [line.outcome for line in report.lines] == [expected] * 4
    async with http_client(base_url=system.issuer) as http:
        for client_id in hashes:
            answer = await http.post("/token", data=GRANT, auth=Registered(client_id, SECRET).basic)
            assert answer.status_code == 200
