"""``steelcut keys``: the keys that sign access tokens, and their life."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from steelcut_cli import output
from steelcut_cli.administration.master_keys import reseal, store_master_key

if TYPE_CHECKING:
    from auth_service.administration.keys import KeySummary, Rotation
    from auth_service.key_life import Step
    from auth_service.signing_keys import SigningAlgorithm
    from steelcut_cli.connections import Connection

app = typer.Typer(no_args_is_help=True, help="The keys that sign access tokens, sealed in the auth database.")
app.command("reseal", epilog=output.examples("steelcut keys reseal", "steelcut keys reseal --json"))(reseal)
app.command(
    "store-master-key",
    epilog=output.examples(
        "steelcut keys store-master-key", "steelcut keys store-master-key steelcut/production --generate"
    ),
)(store_master_key)

COLUMNS = ("kid", "algorithm", "state", "age", "next step")


class Algorithm(enum.StrEnum):
    """What `--algorithm` takes."""

    ES256 = "ES256"
    RS256 = "RS256"
    EdDSA = "EdDSA"


ChosenAlgorithm = Annotated[
    Algorithm | None,
    typer.Option(
        "--algorithm", help="Signature algorithm of a new key.", show_default="AUTH_SIGNING_ALGORITHM"
    ),
]
Kid = Annotated[str, typer.Argument(metavar="KID", help="The key's id, as `steelcut keys list` shows it.")]


@app.command(
    "create", epilog=output.examples("steelcut keys create", "steelcut keys create --algorithm RS256 --json")
)
def create(algorithm: ChosenAlgorithm = None, as_json: output.AsJson = False) -> None:
    """Make a signing key. The first one signs at once; a later one is published and waits.

    The private part is sealed under AUTH_MASTER_KEY before it reaches the database. Reads AUTH_ADMIN_DATABASE_URL
    and AUTH_MASTER_KEY (or AUTH_MASTER_KEY_FILE, or AUTH_MASTER_KEY_KEYRING).
    """
    from auth_service.administration import keys as administration
    from auth_service.administration.actor import terminal_actor
    from auth_service.master_key import MasterKey
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import KeySettings, read

    settings = read(KeySettings)
    chosen: SigningAlgorithm = algorithm.value if algorithm else settings.signing_algorithm
    master_key = MasterKey.from_settings(settings)
    key = with_connection(
        settings.admin_database_url,
        lambda connection: administration.create_key(
            connection, terminal_actor(), master_key, chosen, settings.key_timing
        ),
    )
    _show([key], as_json=as_json, one=True)


@app.command("list", epilog=output.examples("steelcut keys list", "steelcut keys list --json"))
def list_keys(as_json: output.AsJson = False) -> None:
    """List the signing keys, oldest first, with what each may do next and from when; no private part is shown."""
    from auth_service.administration import keys as administration
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import KeyTimingSettings, read

    settings = read(KeyTimingSettings)
    keys = with_connection(
        settings.admin_database_url,
        lambda connection: administration.list_keys(connection, settings.key_timing),
    )
    _show(keys, as_json=as_json)


@app.command(
    "rotate",
    epilog=output.examples("steelcut keys rotate", "steelcut keys rotate --algorithm EdDSA --json"),
)
def rotate(algorithm: ChosenAlgorithm = None, as_json: output.AsJson = False) -> None:
    """Put a new key in the place of the one that signs, without one refused token.

    That takes three steps with waits between: the new key is published, then it signs, then the old one leaves the
    key set. Each run does what is due and prints the rest with its times; run it again then. When no rotation is
    under way it begins one. With AUTH_KEY_ROTATION_DAYS the service does all of it by itself.
    """
    from auth_service.administration import keys as administration
    from auth_service.administration.actor import terminal_actor
    from auth_service.master_key import MasterKey
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import KeySettings, read

    settings = read(KeySettings)
    chosen: SigningAlgorithm = algorithm.value if algorithm else settings.signing_algorithm
    master_key = MasterKey.from_settings(settings)
    rotation = with_connection(
        settings.admin_database_url,
        lambda connection: administration.rotate_keys(
            connection, terminal_actor(), master_key, chosen, settings.key_timing
        ),
    )
    assert rotation is not None  # noqa: S101 - only unattended does it give way to others
    if as_json:
        output.json_document(asdict(rotation))
    else:
        _show_rotation(rotation)


@app.command(
    "promote",
    epilog=output.examples(
        "steelcut keys promote f1UYbQ5Nj8qGkYv2", "steelcut keys promote --force f1UYbQ5Nj8qGkYv2"
    ),
)
def promote(
    kid: Kid,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Do not wait until every verifier knows the key: tokens may be refused meanwhile."
        ),
    ] = False,
    as_json: output.AsJson = False,
) -> None:
    """Let a pending key sign. The one that signed stays published until its last token has expired.

    Refused, with the moment from which it is allowed, while a verifier may hold a key set without the key.
    """
    from auth_service.administration import keys as administration
    from auth_service.administration.actor import terminal_actor
    from steelcut_cli.settings import KeyTimingSettings, read

    timing = read(KeyTimingSettings).key_timing
    _change(
        lambda connection: administration.promote_key(connection, terminal_actor(), kid, timing, force=force),
        as_json=as_json,
    )


@app.command("retire", epilog=output.examples("steelcut keys retire f1UYbQ5Nj8qGkYv2"))
def retire(kid: Kid, as_json: output.AsJson = False) -> None:
    """Take a key that signs no more out of the key set, and destroy its private part.

    Refused, with the moment from which it is allowed, while a token signed by it may live.
    """
    from auth_service.administration import keys as administration
    from auth_service.administration.actor import terminal_actor
    from steelcut_cli.settings import KeyTimingSettings, read

    timing = read(KeyTimingSettings).key_timing
    _change(
        lambda connection: administration.retire_key(connection, terminal_actor(), kid, timing),
        as_json=as_json,
    )


@app.command(
    "revoke",
    epilog=output.examples(
        "steelcut keys revoke --force f1UYbQ5Nj8qGkYv2", "steelcut keys revoke Zr0pending4n3v3rS1gned"
    ),
)
def revoke(
    kid: Kid,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="The key is compromised: drop it although tokens signed by it may live."
        ),
    ] = False,
    as_json: output.AsJson = False,
) -> None:
    """Drop a key from the key set at once. Without --force only where no token is lost by it.

    If it was the key that signs, the pending key that was published longest takes its place, or a new one. Its tokens
    are refused as soon as a verifier fetches the key set, at the latest when AUTH_JWKS_MAX_AGE_SECONDS have passed.
    """
    from auth_service.administration import keys as administration
    from auth_service.administration.actor import terminal_actor
    from auth_service.master_key import MasterKey
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import KeySettings, read

    settings = read(KeySettings)
    revocation = with_connection(
        settings.admin_database_url,
        lambda connection: administration.revoke_key(
            connection,
            terminal_actor(),
            kid,
            MasterKey.from_settings(settings),
            settings.signing_algorithm,
            settings.key_timing,
            force=force,
        ),
    )
    if as_json:
        output.json_document(asdict(revocation))
        return
    facts: dict[str, object] = {"revoked": revocation.key.kid}
    if revocation.successor is not None:
        facts["signs from now on"] = revocation.successor.kid
    if force:
        facts["verifiers may know it until"] = output.moment(revocation.held_until)
    output.facts(facts)


@app.command(
    "export",
    epilog=output.examples(
        "steelcut keys export > jwks.json", "steelcut keys export --pem f1UYbQ5Nj8qGkYv2 > key.pem"
    ),
)
def export(
    kid: Annotated[
        str | None,
        typer.Argument(metavar="[KID]", help="One key, in whatever state.", show_default="today's key set"),
    ] = None,
    pem: Annotated[bool, typer.Option("--pem", help="Print PEM instead of a JWK set.")] = False,
) -> None:
    """Print public keys: a JWK set (RFC 7517) as verifiers fetch it, or PEM (RFC 7468). No private part."""
    from auth_service.administration import keys as administration
    from steelcut_cli.connections import administer

    keys = administer(lambda connection: administration.export_keys(connection, kid))
    if pem:
        # RFC 7468 §5.2 and every reader of PEM let text stand between the blocks.
        print("".join(f"# {key.kid} {key.jwk['alg']} {key.state}\n{key.pem}" for key in keys), end="")
    else:
        output.json_document({"keys": [key.jwk for key in keys]})


def _change(work: Callable[[Connection], Awaitable[KeySummary]], *, as_json: bool) -> None:
    from steelcut_cli.connections import administer

    _show([administer(work)], as_json=as_json, one=True)


def _show(keys: list[KeySummary], *, as_json: bool, one: bool = False) -> None:
    if as_json:
        documents = [asdict(key) for key in keys]
        output.json_document(documents[0] if one else documents)
        return
    now = datetime.now(UTC)
    rows = [
        (key.kid, key.algorithm, key.state, output.duration(now - key.created_at), _next_step(key, now))
        for key in keys
    ]
    output.table(COLUMNS, rows, empty="There is no key yet: steelcut keys create")


def _next_step(key: KeySummary, now: datetime) -> str:
    if key.state == "active":
        return "signs; steelcut keys rotate"
    if key.next_at is None:
        return "revoked as compromised" if key.compromised else "-"
    return f"{key.next_action}, {_when(key.next_at, now)}"


def _show_rotation(rotation: Rotation) -> None:
    rows = [("done", _deed(step), step.kid) for step in rotation.done]
    rows += [
        (_when(step.at, rotation.at), _deed(step), step.kid or "the new key") for step in rotation.coming
    ]
    output.table(("when", "step", "kid"), rows, empty="Nothing is left to do.")
    if rotation.coming:
        print(
            "\nRun it again at each of these times, or as often as you like: what is not due is left alone."
        )
    else:
        print("\nThe rotation is complete. Run it again to begin another one.")


def _deed(step: Step) -> str:
    return {
        "create": "make and publish a key",
        "promote": "let it sign",
        "retire": "take it out of the key set",
    }[step.action]


def _when(moment: datetime, now: datetime) -> str:
    # Rounded up: a second that is shown is never refused as too early.
    return "now" if moment <= now else f"from {output.moment(moment + timedelta(microseconds=999_999))}"
