"""``steelcut import steelcut-oauth``: from the table of Steelcut-OAuth 0.0.3, which nothing keeps in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from auth_service.administration.errors import Invalid
from auth_service.transfer import steelcut_oauth
from auth_service.transfer.catalogue import Catalogue
from auth_service.transfer.records import Item, ResourceRecord
from auth_service.transfer.report import Report
from auth_service.transfer.steelcut_oauth import Row
from auth_service.transfer.steelcut_oauth_table import rows
from auth_service.transfer.writing import take
from tests.support.databases import Databases
from tests.support.foreign import SECRET, argon2_hash, bcrypt_hash
from tests.support.plain_http import http_client
from tests.support.system import ACTOR, GRANT, RESOURCE, Registered, System, as_owner

GRANT_TYPE = "client_credentials"
HERE = ResourceRecord(RESOURCE, "https://api.example.com/api_v0.0.1", ("read", "write"))
GOOD = argon2_hash()

# As its create_table makes them.
CREATE = "CREATE TABLE stored_tokens (grant_type varchar, client_id varchar, client_secret varchar, resource varchar)"


def taken_from(*table: Row, scopes: Sequence[str] = ("read",), base_url: str | None = None) -> list[Item]:
    """What is read of a table."""
    return steelcut_oauth.read(table, Catalogue([HERE], base_url), scopes)


def test_client_is_taken_with_its_hash() -> None:
    """Id, hash and resource come over; the client is granted reading, since Steelcut-OAuth knew no scopes."""
    (item,) = taken_from(Row(GRANT_TYPE, "0083c1b7", GOOD, RESOURCE))
    assert item.client is not None
    assert item.notes == ()
    assert (item.client.client_id, item.client.name) == ("0083c1b7", "0083c1b7")
    assert item.client.grants == {RESOURCE: ("read",)}
    (secret,) = item.client.secrets
    assert (secret.hash, secret.label) == (GOOD, "from Steelcut-OAuth")
    assert GOOD not in repr(item)


REFUSED: list[tuple[str, Row, str]] = [
    ("no client id", Row(GRANT_TYPE, None, GOOD, RESOURCE), "the client id is missing"),
    ("empty client id", Row(GRANT_TYPE, "", GOOD, RESOURCE), "the client id is missing"),
    ("client id with a newline", Row(GRANT_TYPE, "a\nb", GOOD, RESOURCE), "printable ASCII"),
    ("client id beyond ASCII", Row(GRANT_TYPE, "é", GOOD, RESOURCE), "printable ASCII"),
    ("client id too long", Row(GRANT_TYPE, "a" * 256, GOOD, RESOURCE), "1 to 255"),
    ("client id in spaces", Row(GRANT_TYPE, " a ", GOOD, RESOURCE), "no space at its ends"),
    ("no secret", Row(GRANT_TYPE, "a", None, RESOURCE), "the secret is missing"),
    ("secret in clear", Row(GRANT_TYPE, "a", SECRET, RESOURCE), "in clear or of no hash"),
    ("broken hash", Row(GRANT_TYPE, "a", GOOD[:20], RESOURCE), "malformed"),
    ("no grant type", Row(None, "a", GOOD, RESOURCE), "the grant type is missing"),
    ("another grant type", Row("password", "a", GOOD, RESOURCE), "'password' does not exist here"),
    ("no resource", Row(GRANT_TYPE, "a", GOOD, None), "the resource is missing"),
    ("unknown resource", Row(GRANT_TYPE, "a", GOOD, "other"), "there is no resource 'other'"),
]


@pytest.mark.parametrize(("row", "reason"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_row_that_cannot_be_a_client_is_refused(row: Row, reason: str) -> None:
    """Each refused row is named by its place, with the reason, and without what may be a secret."""
    good, item = taken_from(Row(GRANT_TYPE, "good", GOOD, RESOURCE), row)
    assert good.client is not None
    assert (item.place, item.client) == ("row 2", None)
    (said,) = item.notes
    assert reason in said
    assert SECRET not in said


def test_foreign_hash_is_taken_and_reported() -> None:
    """A hash that Steelcut-OAuth itself could not verify is one that this server can."""
    (item,) = taken_from(Row(GRANT_TYPE, "a", bcrypt_hash(), RESOURCE))
    assert item.client is not None
    assert "none of argon2" in item.notes[0]


def test_grant_type_as_its_documentation_spells_it() -> None:
    """Who stored it with a space is taken, and told what to send from now on."""
    (item,) = taken_from(Row("client credentials", "a", GOOD, RESOURCE))
    assert item.client is not None
    assert "client_credentials, with an underscore" in item.notes[0]


def test_first_row_of_an_id_counts() -> None:
    """Steelcut-OAuth looked at the first row of an id alone: the others never worked, and are refused here too."""
    items = taken_from(
        Row(GRANT_TYPE, "twice", GOOD, RESOURCE),
        Row(GRANT_TYPE, "broken", None, RESOURCE),
        Row(GRANT_TYPE, "twice", argon2_hash(), RESOURCE),
        Row(GRANT_TYPE, "broken", GOOD, RESOURCE),
        Row(GRANT_TYPE, None, GOOD, RESOURCE),
        Row(GRANT_TYPE, None, GOOD, RESOURCE),
    )
    assert [item.client is not None for item in items] == [True, False, False, False, False, False]
    assert "row 1 has the same client id" in items[2].notes[0]
    assert "row 2 has the same client id" in items[3].notes[0]
    assert "missing" in items[5].notes[0]


def test_missing_resource_is_made_when_asked_for() -> None:
    """With a base URL a short name becomes a resource; one that can be none is refused by itself."""
    catalogue = Catalogue([HERE], "https://new.example.com")
    items = steelcut_oauth.read(
        [
            Row(GRANT_TYPE, "a", GOOD, "reports"),
            Row(GRANT_TYPE, "b", GOOD, "reports"),
            Row(GRANT_TYPE, "c", GOOD, "no name"),
            Row(GRANT_TYPE, "d", GOOD, RESOURCE),
        ],
        catalogue,
        ["read"],
    )
    assert [item.client is not None for item in items] == [True, True, False, True]
    assert "can be made: a resource name is letters" in items[2].notes[0]
    granted = [name for item in items if item.client for name in item.client.grants]
    assert catalogue.new(granted) == [ResourceRecord("reports", "https://new.example.com/reports", ("read",))]


def test_scope_that_the_resource_does_not_know() -> None:
    """An existing resource gets no scope by an import."""
    (item,) = taken_from(Row(GRANT_TYPE, "a", GOOD, RESOURCE), scopes=["read", "fly"])
    assert "no resource of it knows the scope fly" in item.notes[0]


@pytest.fixture
async def old_database(databases: Databases) -> str:
    """A database with the table of Steelcut-OAuth, in which everything went wrong that can."""

    async def fill(connection: Any) -> None:
        await connection.execute(CREATE)
        await connection.executemany(
            "INSERT INTO stored_tokens VALUES ($1, $2, $3, $4)",
            [
                (GRANT_TYPE, "good", GOOD, RESOURCE),
                (GRANT_TYPE, "good", argon2_hash("another"), RESOURCE),
                (GRANT_TYPE, None, GOOD, RESOURCE),
                (GRANT_TYPE, "null secret", None, RESOURCE),
                (None, None, None, None),
                (GRANT_TYPE, "foreign", bcrypt_hash(), RESOURCE),
                (GRANT_TYPE, "clear", SECRET, RESOURCE),
                ("password", "person", GOOD, RESOURCE),
                (GRANT_TYPE, "elsewhere", GOOD, "nowhere"),
            ],
        )

    await as_owner(databases.resource.owner, fill)
    return databases.resource.owner


async def import_table(system: System, url: str, **options: Any) -> Report:
    """Import as the command does."""
    found = await rows(url, "stored_tokens")
    return await system.as_admin(
        lambda c: take(
            c,
            ACTOR,
            "steelcut-oauth",
            lambda catalogue: steelcut_oauth.read(found, catalogue, ["read"]),
            **{"apply": True, **options},
        )
    )


async def test_old_clients_move(start_system: Any, old_database: str) -> None:
    """What is good is taken and gets tokens with its old secret, the rest is reported, and twice changes nothing."""
    system: System = await start_system()
    report = await import_table(system, old_database)
    assert report.counts == {"taken": 2, "changed": 1, "unchanged": 0, "kept": 0, "refused": 7}
    assert [line.name for line in report.lines if line.outcome == "taken"] == ["good", "foreign"]
    async with http_client(base_url=system.issuer) as http:
        for client_id in ("good", "foreign"):
            answer = await http.post("/token", data=GRANT, auth=Registered(client_id, SECRET).basic)
            assert (answer.status_code, answer.json()["scope"]) == (200, "read")
        # The second row of this id never worked in Steelcut-OAuth, and does not here.
        answer = await http.post("/token", data=GRANT, auth=Registered("good", "another").basic)
        assert answer.status_code == 401
    again = await import_table(system, old_database)
    assert again.counts == {"taken": 0, "changed": 0, "unchanged": 2, "kept": 0, "refused": 7}


async def test_rows_come_in_the_order_of_the_table(old_database: str) -> None:
    """The first row is the one that lies first, as Steelcut-OAuth found it."""
    found = await rows(old_database, "stored_tokens")
    assert [row.client_id for row in found[:4]] == ["good", "good", None, "null secret"]
    assert found[0].client_secret == GOOD


async def test_columns_of_other_types_are_read_as_text(databases: Databases) -> None:
    """A table that somebody made by hand may hold numbers and bytes: they are text, or refused as what they are."""

    async def fill(connection: Any) -> None:
        await connection.execute('CREATE SCHEMA "Old"')
        await connection.execute(
            'CREATE TABLE "Old"."To""kens" (resource text, client_id integer, client_secret bytea, grant_type text)'
        )
        await connection.execute(
            'INSERT INTO "Old"."To""kens" VALUES ($1, 7, $2, $3)', RESOURCE, b"\xff", GRANT_TYPE
        )

    await as_owner(databases.resource.owner, fill)
    found = await rows(databases.resource.owner, 'Old.To"kens')
    assert found == [Row(GRANT_TYPE, "7", r"\xff", RESOURCE)]


async def test_old_database_is_only_read(databases: Databases, old_database: str) -> None:
    """The role needs no more than SELECT, and the session may not write."""
    viewer = databases.resource.runtime
    with pytest.raises(Invalid, match="needs SELECT"):
        await rows(viewer, "stored_tokens")
    await as_owner(old_database, lambda c: c.execute("GRANT SELECT ON stored_tokens TO resource_runtime"))
    assert len(await rows(viewer, "stored_tokens")) == 9


UNREADABLE: list[tuple[str, str, str, str]] = [
    ("no server", "@{host}:1/", "stored_tokens", "does not answer"),
    ("wrong password", ":wrong@{host}:{port}/", "stored_tokens", "refuses this role or its password"),
    ("no database", "{user}@{host}:{port}/nothing", "stored_tokens", "no such database"),
    ("no table", "{user}@{host}:{port}/{database}", "others", "'others' is no table with the columns"),
    (
        "another table",
        "{user}@{host}:{port}/{database}",
        "documents",
        "'documents' is no table with the columns",
    ),
    ("no schema", "{user}@{host}:{port}/{database}", "x.y", "'x.y' is no table with the columns"),
]


@pytest.mark.parametrize(
    ("place", "table", "sentence"), [u[1:] for u in UNREADABLE], ids=[u[0] for u in UNREADABLE]
)
async def test_what_cannot_be_read_is_one_sentence(
    old_database: str, place: str, table: str, sentence: str
) -> None:
    """The operator is told what to mend, and no password."""
    scheme, _, rest = old_database.partition("://")
    user, _, server = rest.rpartition("@")
    address, _, database = server.partition("/")
    host, _, port = address.partition(":")
    url = f"{scheme}://" + place.format(user=user, host=host, port=port, database=database)
    if place.startswith((":", "@")):
        url = url.replace("://", f"://{user.partition(':')[0]}") + database
    with pytest.raises(Invalid, match=sentence) as error:
        await rows(url, table)
    assert user.partition(":")[2] not in str(error.value)
