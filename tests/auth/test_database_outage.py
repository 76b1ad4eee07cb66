"""PostgreSQL goes away under the authorization server, and comes back."""

from __future__ import annotations

from typing import Any

from steelcut_cli.dev.embedded_postgres import EmbeddedPostgres
from tests.support.outage import outage
from tests.support.plain_http import http_client
from tests.support.system import GRANT, System


async def test_outage_and_return(start_system: Any, postgres: EmbeddedPostgres) -> None:
    """A cached client keeps its tokens, others get 503 with Retry-After, and all is well again afterwards."""
    system: System = await start_system(cache_max_age_seconds=300, stale_seconds=0)
    other = await system.register("Other")
    await system.heard()
    async with http_client(base_url=system.issuer) as http:
        await http.post("/token", data=GRANT, auth=system.client.basic)
        async with outage(postgres, system.databases.auth.owner):
            known = await http.post("/token", data=GRANT, auth=system.client.basic)
            unknown = await http.post("/token", data=GRANT, auth=other.basic)
            alive, ready = await http.get("/healthz"), await http.get("/readyz")
            keys = await http.get("/.well-known/jwks.json")
        again = await http.post("/token", data=GRANT, auth=other.basic)
        ready_again = await http.get("/readyz")
    assert known.status_code == 200
    assert (unknown.status_code, unknown.json()["error"]) == (503, "temporarily_unavailable")
    assert unknown.headers["retry-after"] == "1"
    assert system.log.of(unknown)["reason"].startswith("database: ")
    assert (alive.status_code, ready.status_code, keys.status_code) == (200, 503, 200)
    assert ready.json()["checks"]["database"] == "the database does not answer"
    assert (again.status_code, ready_again.status_code) == (200, 200)


async def test_unexpected_error_shows_nothing(start_system: Any) -> None:
    """A fault that nobody foresaw is a 500 with a trace id; the traceback stays in the log."""
    system: System = await start_system()
    # The schema breaks under the running service: an error that is neither an outage nor a bad request.
    await system.as_owner(lambda c: c.execute("ALTER TABLE clients RENAME COLUMN grant_types TO gone"))
    async with http_client(base_url=system.issuer) as http:
        response = await http.post("/token", data=GRANT, auth=system.client.basic)
    assert response.status_code == 500
    assert response.json()["error"] == "server_error"
    assert "grant_types" not in response.text
    assert "UndefinedColumnError" in system.log.text
    assert response.headers["x-trace-id"] in system.log.text
