"""``steelcut secrets``: what clients prove themselves by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steelcut_cli import output
from steelcut_cli.administration import times

if TYPE_CHECKING:
    from auth_service.administration.secrets import AddedSecret
    from auth_service.queries.secrets import SecretRow

app = typer.Typer(
    no_args_is_help=True,
    help="The secrets of clients. A client may have several, so that one is exchanged while the other still works.",
)

KEEP_IT = "Keep the secret now: it is not stored and cannot be shown again."

ClientId = Annotated[str, typer.Argument(metavar="CLIENT_ID", help="The client's id.")]
SecretId = Annotated[
    str,
    typer.Argument(
        metavar="SECRET_ID", help="The secret's id, the part after scut_, as steelcut secrets list shows it."
    ),
]
Label = Annotated[str, typer.Option(help="What the secret is for, as in: production.")]
Expires = Annotated[
    str | None,
    typer.Option(
        metavar="WHEN", help=f"When the new secret ends: {times.MOMENT_HELP}.", show_default="never"
    ),
]


@app.command(
    "add",
    epilog=output.examples(
        "steelcut secrets add billing --label staging", "steelcut secrets add billing --expires 90d --json"
    ),
)
def add(
    client_id: ClientId, label: Label = "", expires: Expires = None, as_json: output.AsJson = False
) -> None:
    """Give a client one more secret and print it: once, here, never again. The others stay as they are."""
    from auth_service.administration import secrets as administration
    from auth_service.administration.actor import terminal_actor
    from steelcut_cli.connections import administer

    ends = times.moment(expires)
    added = administer(
        lambda connection: administration.add_secret(
            connection, terminal_actor(), client_id, label=label, expires_at=ends
        )
    )
    _show_added(added, (), as_json=as_json)


@app.command(
    "list", epilog=output.examples("steelcut secrets list billing", "steelcut secrets list billing --json")
)
def list_secrets(client_id: ClientId, as_json: output.AsJson = False) -> None:
    """List a client's secrets: when each was last used and from where, and which can be revoked.

    "in use" is a secret that got a token, until it has rested for a day and a newer one was used since. "safe to
    delete" is one that has been outlived that way, or has expired. Values are not stored, so none is shown.
    """
    from auth_service.administration import secrets as administration
    from steelcut_cli.connections import administer

    secrets = administer(lambda connection: administration.list_secrets(connection, client_id))
    if as_json:
        output.json_document([asdict(secret) for secret in secrets])
    else:
        show(secrets)


@app.command(
    "rotate",
    epilog=output.examples(
        "steelcut secrets rotate billing",
        "steelcut secrets rotate billing --overlap 7d --label 2031-q3 --json",
        "steelcut secrets rotate billing --overlap 0s      # after a leak: the old ones end at once",
    ),
)
def rotate(
    client_id: ClientId,
    overlap: Annotated[
        str,
        typer.Option(
            metavar="SPAN",
            help="How long the old secrets still work: 45m, 24h, 7d; those that end sooner do.",
        ),
    ] = "24h",
    replaces: Annotated[
        str | None,
        typer.Option(
            metavar="SECRET_ID", help="The only one to replace.", show_default="all of the client's secrets"
        ),
    ] = None,
    label: Label = "",
    expires: Expires = None,
    as_json: output.AsJson = False,
) -> None:
    """Give a client a new secret, print it once, and let the old ones end after the overlap.

    Hand the new one out within the overlap, and no request is refused.
    """
    from auth_service.administration import secrets as administration
    from auth_service.administration.actor import terminal_actor
    from steelcut_cli.connections import administer

    time, ends = times.span(overlap), times.moment(expires)
    rotated = administer(
        lambda connection: administration.rotate_secret(
            connection,
            terminal_actor(),
            client_id,
            overlap=time,
            replaces=replaces,
            label=label,
            expires_at=ends,
        )
    )
    _show_added(rotated.added, rotated.replaced, as_json=as_json)


@app.command(
    "expire",
    epilog=output.examples(
        "steelcut secrets expire billing 2k4x9w1cQ7aB --at 7d",
        "steelcut secrets expire billing 2k4x9w1cQ7aB --at 2031-12-31T12:00Z",
        "steelcut secrets expire billing 2k4x9w1cQ7aB --at never",
    ),
)
def expire(
    client_id: ClientId,
    secret_id: SecretId,
    at: Annotated[str, typer.Option(metavar="WHEN", help=f"When it ends: {times.MOMENT_HELP}; or never.")],
    as_json: output.AsJson = False,
) -> None:
    """Let a secret end at a time to come. To end it now: steelcut secrets revoke."""
    from auth_service.administration import secrets as administration
    from auth_service.administration.actor import terminal_actor
    from steelcut_cli.connections import administer

    ends = times.moment(at)
    secret = administer(
        lambda connection: administration.expire_secret(
            connection, terminal_actor(), client_id, secret_id, ends
        )
    )
    if as_json:
        output.json_document(asdict(secret))
    else:
        show([secret])


@app.command(
    "revoke",
    epilog=output.examples(
        "steelcut secrets revoke billing 2k4x9w1cQ7aB",
        "steelcut secrets revoke billing 2k4x9w1cQ7aB --force --yes      # after a leak",
    ),
)
def revoke(
    client_id: ClientId,
    secret_id: SecretId,
    force: Annotated[bool, typer.Option("--force", help="Also one that is in use.")] = False,
    yes: output.Yes = False,
) -> None:
    """Delete a secret: on every replica it gets no more tokens within a second.

    One that is in use is refused without --force; steelcut secrets list says which are safe to delete.
    """
    from auth_service.administration import secrets as administration
    from auth_service.administration.actor import terminal_actor
    from steelcut_cli.connections import administer

    known = administer(lambda connection: administration.list_secrets(connection, client_id))
    for secret in known:
        if secret.secret_id == secret_id and (force or not secret.in_use):
            used = output.moment(secret.last_used_at, "never")
            output.confirm(f"Revoke {secret_id} of {client_id} (last used: {used})?", yes=yes)
    administer(
        lambda connection: administration.revoke_secret(
            connection, terminal_actor(), client_id, secret_id, force=force
        )
    )
    print(f"Revoked {secret_id}.")


def show(secrets: Sequence[SecretRow]) -> None:
    """Print secrets as a table, without their values."""
    rows = [
        (
            secret.secret_id,
            secret.label,
            _standing(secret),
            output.moment(secret.last_used_at, "never"),
            secret.last_address,
            output.moment(secret.created_at),
            output.moment(secret.expires_at, "never"),
        )
        for secret in secrets
    ]
    output.table(
        ("secret id", "label", "state", "last used", "from", "created", "expires"),
        rows,
        empty="The client has no secret: steelcut secrets add CLIENT_ID",
    )


def _standing(secret: SecretRow) -> str:
    if not secret.live:
        return "expired, safe to delete"
    if secret.in_use:
        return "in use"
    if secret.safe_to_delete:
        return "safe to delete"
    return "not used yet"


def made_unseen(client_id: str) -> str:
    """Return what to do where a client was made, and its secret found no place to be shown."""
    return (
        f"The client {client_id} was made all the same, and nobody has seen its secret: "
        f"`steelcut secrets rotate {client_id} --overlap 0s` puts another in its place."
    )


def _show_added(added: AddedSecret, replaced: Sequence[SecretRow], *, as_json: bool) -> None:
    otherwise = (
        f"The secret {added.secret.secret_id} was added all the same, and nobody has seen it: "
        f"`steelcut secrets revoke {added.secret.client_id} {added.secret.secret_id}` takes it back, "
        f"`steelcut secrets rotate {added.secret.client_id}` puts another in its place."
    )
    with output.shown_once(otherwise):
        if as_json:
            document: dict[str, Any] = {**asdict(added.secret), "client_secret": added.value}
            if replaced:
                document["replaced"] = [asdict(secret) for secret in replaced]
            output.json_document(document)
            return
        output.facts(
            {
                "client id": added.secret.client_id,
                "secret id": added.secret.secret_id,
                "label": added.secret.label,
                "expires": output.moment(added.secret.expires_at, "never"),
                "client secret": added.value,
            }
        )
        print(f"\n{KEEP_IT}")
        for secret in replaced:
            print(f"The secret {secret.secret_id} works until {output.moment(secret.expires_at)}.")
