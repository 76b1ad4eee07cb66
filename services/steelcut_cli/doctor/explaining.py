"""``steelcut doctor explain``: what a token, a trace id or an error code says."""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import asdict
from typing import Annotated, Final

import typer

from steelcut_cli import output
from steelcut_cli.errors import Misuse

STANDARD_INPUT: Final = "-"
SECRET_PREFIX: Final = "scut_"  # noqa: S105 - only how ours begin
_TRACE: Final = re.compile(r"[0-9a-f]{32}")
_CODE: Final = re.compile(r"[a-z_]{1,40}")
_TOKEN: Final = re.compile(r"[^\s.]+(\.[^\s.]*){2,4}")

EXAMPLES: Final = output.examples(
    "steelcut token | steelcut doctor explain - --resource http://127.0.0.1:8001/api_v0.0.1",
    "steelcut doctor explain 7c0e6c2f5a5e4b0f9a3d1b7c8e9f0a1b",
    "steelcut doctor explain invalid_client",
)


def explain(
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE",
            help="An access token, a trace id (from the header X-Trace-Id of an answer), or an error code as"
            " invalid_client; - reads it from the standard input, where nobody sees it.",
        ),
    ],
    resource: Annotated[
        str | None,
        typer.Option(
            help="Resource that shall take the token: its identifier, or its name below RESOURCE_BASE_URL."
        ),
    ] = None,
    issuer: Annotated[
        str | None,
        typer.Option(
            help="Issuer whose keys must vouch for the token.",
            show_default="RESOURCE_ISSUER, AUTH_ISSUER or STEELCUT_ISSUER",
        ),
    ] = None,
    as_json: output.AsJson = False,
) -> None:
    """Say what an access token, a trace id or an error code means, and what to do.

    Of a token it says whether a resource server would take it and why not: exit code 1 when it would not. A trace id
    is looked up in the audit log by AUTH_ADMIN_DATABASE_URL, which has the true reason of a refusal.
    """
    given = _read() if value == STANDARD_INPUT else value.strip()
    if given.lower().startswith("bearer "):
        given = given[len("bearer ") :].strip()
    if SECRET_PREFIX in given:
        raise Misuse(
            "This holds a client secret, which nobody needs to be told: if others could see it here, rotate it"
            " (`steelcut secrets rotate`)."
        )
    if _TRACE.fullmatch(given):
        _trace(given, as_json=as_json)
    elif _CODE.fullmatch(given):
        _code(given, as_json=as_json)
    elif _TOKEN.fullmatch(given):
        if value != STANDARD_INPUT:
            output.complain(
                "a token among the arguments can be read by every user of this machine, and stays in the shell's"
                " history: `steelcut doctor explain -` reads it from the standard input."
            )
        _token(given, resource, issuer, as_json=as_json)
    else:
        raise Misuse(
            "This is no access token of ours, no trace id (32 hexadecimal digits) and no error code."
        )


def _read() -> str:
    if sys.stdin.isatty():
        return output.ask_secret("Value").strip()
    return sys.stdin.buffer.read().decode("ascii", "replace").strip()


def _code(error: str, *, as_json: bool) -> None:
    from steelcut_cli.doctor.error_codes import ERROR_CODES

    code = ERROR_CODES.get(error)
    if code is None:
        raise Misuse(f"There is no such error code; these are known: {', '.join(ERROR_CODES)}.")
    if as_json:
        output.json_document(asdict(code))
        return
    output.facts(
        {
            "error code": code.error,
            "answered by": code.who,
            "with status": code.status,
            "specified in": code.section,
            "meaning": code.meaning,
            "what to do": code.advice,
        }
    )


def _trace(trace_id: str, *, as_json: bool) -> None:
    from steelcut_cli.doctor.traces import explain_trace

    events = explain_trace(trace_id)
    if as_json:
        output.json_document(events)
        return
    for number, event in enumerate(events):
        if number:
            print()
        output.facts({_NAMES.get(name, name): _shown(value) for name, value in event.items()})


def _shown(value: object) -> object:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict) else value


def _token(unverified_token: str, resource: str | None, issuer: str | None, *, as_json: bool) -> None:
    from steelcut.discovery import check_issuer
    from steelcut_cli.doctor.environment import Environment
    from steelcut_cli.doctor.findings import show
    from steelcut_cli.doctor.tokens import Judge, explain_token, is_refused

    environment = Environment.read()
    trusted = issuer or environment.resource_issuer or environment.issuer
    jwks_uri = environment.jwks_uri if trusted == environment.resource_issuer else None
    try:
        if trusted is not None:
            check_issuer(trusted)
    except ValueError as error:
        raise Misuse(output.sentence(error)) from None
    if resource is not None and "://" not in resource:
        if environment.base_url is None:
            raise Misuse("Set RESOURCE_BASE_URL, or give the resource by its identifier: --resource URL.")
        resource = f"{environment.base_url}/{resource}"
    judge = Judge(trusted, jwks_uri, resource, environment.leeway_seconds, time.time)
    findings = show(explain_token(unverified_token, judge), as_json=as_json)
    if is_refused(findings):
        raise typer.Exit(1)


_NAMES: Final = {
    "at": "when",
    "object": "done to",
    "advice": "what to do",
    "client_now": "the client now",
} | {name: name.replace("_", " ") for name in ("trace_id", "token_id", "specified_in")}
