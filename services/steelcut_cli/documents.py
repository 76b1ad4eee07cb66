"""``steelcut documents``: the protected JSON."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steelcut_cli import output
from steelcut_cli.errors import Refusal

if TYPE_CHECKING:
    from resource_service.queries import PublishedDocument

app = typer.Typer(no_args_is_help=True, help="The protected JSON documents that the resource service serves.")

ResourceName = Annotated[str, typer.Argument(help="Short name of the resource, as in api_v0.0.1.")]
Key = Annotated[
    str | None,
    typer.Option(
        "--key", "-k", help="Key below the resource, as in /RESOURCE/KEY.", show_default="the resource itself"
    ),
]


@app.command(
    "publish",
    epilog=output.examples(
        "steelcut documents publish api_v0.0.1 examples/protected_resource.json",
        "steelcut documents publish api_v0.0.1 q3.json --key reports-2031-q3",
        "jq -c . draft.json | steelcut documents publish api_v0.0.1 -",
    ),
)
def publish(
    resource: ResourceName,
    file: Annotated[Path, typer.Argument(help="A JSON file; - reads the standard input.")],
    key: Key = None,
    as_json: output.AsJson = False,
) -> None:
    """Publish a JSON document, or replace it: its bytes are served exactly as they are.

    A file that is not JSON is refused with line and column. Reads
    RESOURCE_PUBLISHER_DATABASE_URL, or RESOURCE_OWNER_DATABASE_URL where there is no publisher.
    """
    from resource_service import documents
    from resource_service.errors import DocumentError
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import PublishingSettings, read

    body = read_file(file)
    try:
        documents.check_json(body)
    except DocumentError as error:
        raise Refusal(f"{file}: {error}") from None
    settings = read(PublishingSettings)
    document = with_connection(
        settings.url(), lambda connection: documents.publish(connection, resource, key, body)
    )
    if as_json:
        output.json_document(asdict(document))
        return
    print(f"{'Published' if document.created else 'Replaced'} {_path(resource, key)}.")
    _show([document])


@app.command(
    "list", epilog=output.examples("steelcut documents list", "steelcut documents list api_v0.0.1 --json")
)
def list_documents(
    resource: Annotated[
        str | None, typer.Argument(help="Short name of the resource.", show_default="all resources")
    ] = None,
    as_json: output.AsJson = False,
) -> None:
    """List the published documents."""
    from resource_service import documents
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import PublishingSettings, read

    settings = read(PublishingSettings)
    published = with_connection(
        settings.url(), lambda connection: documents.list_documents(connection, resource)
    )
    if as_json:
        output.json_document([_record(document) for document in published])
    else:
        _show(published, resource)


@app.command(
    "delete",
    epilog=output.examples(
        "steelcut documents delete api_v0.0.1 --key reports-2031-q3",
        "steelcut documents delete api_v0.0.1 --yes",
    ),
)
def delete(resource: ResourceName, key: Key = None, yes: output.Yes = False) -> None:
    """Delete one document; the others below the resource stay."""
    from resource_service import documents
    from steelcut_cli.connections import with_connection
    from steelcut_cli.settings import PublishingSettings, read

    settings = read(PublishingSettings)
    output.confirm(f"Delete {output.cell(_path(resource, key))}?", yes=yes)
    deleted = with_connection(
        settings.url(), lambda connection: documents.delete_document(connection, resource, key)
    )
    if not deleted:
        raise Refusal(
            f"There is no document at {_path(resource, key)}: `steelcut documents list` shows them."
        )
    print(f"Deleted {_path(resource, key)}.")


def read_file(file: Path) -> bytes:
    """Return the bytes of ``file``, of the standard input for ``-``. Raises :class:`Refusal`."""
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise Refusal(f"{file} cannot be read: {error.strerror or type(error).__name__}.") from None


def _path(resource: str, key: str | None) -> str:
    return f"/{resource}/{key}" if key else f"/{resource}"


def _record(document: PublishedDocument) -> dict[str, Any]:
    """Return what lasts of a document: whether it was new is a matter of the moment of publishing."""
    return {name: value for name, value in asdict(document).items() if name != "created"}


def _show(published: list[PublishedDocument], resource: str | None = None) -> None:
    rows = [
        (_path(row.resource, row.key), row.etag, row.size, output.moment(row.published_at))
        for row in published
    ]
    output.table(
        ("path", "etag", "bytes", "published"),
        rows,
        empty=f"There is no document{f' of {output.cell(resource)}' if resource else ''} yet: "
        f"steelcut documents publish {output.cell(resource or 'RESOURCE')} FILE",
    )
