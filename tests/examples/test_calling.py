"""The examples that call: the cron job, the worker, curl, and Postman's collection."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.examples.conftest import EXAMPLES, Ended
from tests.support.system import DOCUMENT, System

Run = Callable[..., Awaitable[Ended]]


def tokens_issued(system: System) -> int:
    """Return how many token requests the auth service has answered with a token."""
    return sum('"/token"' in line and '"status":200' in line for line in system.log.text.splitlines())


def modes_of_files(folder: Path) -> set[int]:
    """Return the permissions of all files in ``folder`` and below."""
    return {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}


async def test_cron_job_keeps_its_token_for_the_next_run(
    run_example: Run, system: System, tmp_path: Path
) -> None:
    """Each run prints the document; only the first one asks for a token, and nobody else can read what it keeps."""
    before = tokens_issued(system)
    for _ in range(2):
        ended = await run_example("cron_job.py")
        assert (ended.code, ended.out, ended.err) == (0, "This is a protected resource\n", "")
    assert tokens_issued(system) == before + 1
    assert modes_of_files(tmp_path) == {0o600}


async def test_cron_job_that_is_refused_says_why_in_one_sentence(run_example: Run) -> None:
    """What cron mails is a sentence and no traceback, and the exit is not zero."""
    ended = await run_example("cron_job.py", STEELCUT_CLIENT_SECRET="wrong")
    assert ended.code != 0
    assert "invalid_client" in ended.err
    assert "Traceback" not in ended.err
    assert "wrong" not in ended.err


async def test_worker_fetches_a_hundred_documents_by_one_token(run_example: Run, system: System) -> None:
    """A hundred tasks start at once, and one of them asks."""
    before = tokens_issued(system)
    ended = await run_example("async_worker.py")
    assert (ended.code, ended.out, ended.err) == (0, "100 of 100 documents fetched\n", "")
    assert tokens_issued(system) == before + 1
    refused = await run_example("async_worker.py", STEELCUT_CLIENT_SECRET="wrong")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.count("\n") == 1
    assert "invalid_client" in refused.err


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_curl_script_prints_the_document(run_example: Run) -> None:
    """No program of ours is needed to call."""
    ended = await run_example("curl.sh")
    assert (ended.code, ended.out.encode(), ended.err) == (0, DOCUMENT, "")
    refused = await run_example("curl.sh", STEELCUT_CLIENT_SECRET="wrong")
    assert refused.code != 0
    assert "invalid_client" in refused.err


def filled(text: str, variables: dict[str, str]) -> str:
    """Return ``text`` with Postman's ``{{names}}`` filled in."""
    return re.sub(r"\{\{(\w+)\}\}", lambda name: variables[name[1]], text)


async def test_postman_collection_does_what_its_authorization_tab_says(system: System) -> None:
    """The requests that Postman makes of the collection's settings get a token, and with it the document."""
    collection = json.loads((EXAMPLES / "postman_collection.json").read_text(encoding="utf-8"))
    variables = {variable["key"]: variable["value"] for variable in collection["variable"]}
    assert variables["client_secret"] == ""
    variables |= {
        "issuer": system.issuer,
        "document_url": system.document_url,
        "client_id": system.client.client_id,
        "client_secret": system.client.secret,
    }
    settings: dict[str, Any] = {member["key"]: member["value"] for member in collection["auth"]["oauth2"]}
    form = {"grant_type": settings["grant_type"], "scope": filled(settings["scope"], variables)}
    form |= {more["key"]: filled(more["value"], variables) for more in settings["tokenRequestParams"]}
    basic = httpx.BasicAuth(*(filled(settings[half], variables) for half in ("clientId", "clientSecret")))
    async with httpx.AsyncClient() as http:
        token = (await http.post(filled(settings["accessTokenUrl"], variables), data=form, auth=basic)).json()
        bearer = {"Authorization": f"{settings['headerPrefix']} {token['access_token']}"}
        for item in collection["item"]:
            request = item["request"]
            headers = {} if request.get("auth") == {"type": "noauth"} else bearer
            answer = await http.request(request["method"], filled(request["url"], variables), headers=headers)
            assert answer.status_code == 200, item["name"]
