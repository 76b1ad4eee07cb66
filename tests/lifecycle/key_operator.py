"""Somebody who administers the signing keys of one database, and sees what became of them."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from auth_service.administration import keys as administration
from auth_service.administration.keys import KeySummary, Revocation, Rotation
from auth_service.key_life import KeyTiming
from auth_service.master_key import MasterKey
from tests.support.databases import Databases
from tests.support.system import ACTOR, as_owner

T = TypeVar("T")

TIMING = KeyTiming(token_lifetime_seconds=600, jwks_max_age_seconds=300, refresh_seconds=5)


def new_master_key() -> str:
    """A master key as the environment carries it."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass
class KeyOperator:
    """Calls the service functions as the administrator, with the timing of the services as it knows them."""

    databases: Databases
    master_key: MasterKey = field(default_factory=lambda: MasterKey.from_base64(new_master_key()), repr=False)
    timing: KeyTiming = TIMING

    async def run(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Do ``work`` on a connection of the administrator."""
        return await as_owner(self.databases.auth_admin, work)

    async def create(self, algorithm: Any = "ES256") -> KeySummary:
        """Make a key."""
        return await self.run(
            lambda c: administration.create_key(c, ACTOR, self.master_key, algorithm, self.timing)
        )

    async def promote(self, kid: str, *, force: bool = False) -> KeySummary:
        """Let a key sign."""
        return await self.run(lambda c: administration.promote_key(c, ACTOR, kid, self.timing, force=force))

    async def retire(self, kid: str) -> KeySummary:
        """Take a key away."""
        return await self.run(lambda c: administration.retire_key(c, ACTOR, kid, self.timing))

    async def revoke(self, kid: str, *, force: bool = False) -> Revocation:
        """Take a key away at once."""
        return await self.run(
            lambda c: administration.revoke_key(
                c, ACTOR, kid, self.master_key, "ES256", self.timing, force=force
            )
        )

    async def rotate(self, **options: Any) -> Rotation | None:
        """Do what is due."""
        return await self.run(
            lambda c: administration.rotate_keys(c, ACTOR, self.master_key, "ES256", self.timing, **options)
        )

    async def keys(self) -> list[KeySummary]:
        """All keys, oldest first."""
        return await self.run(lambda c: administration.list_keys(c, self.timing))

    async def states(self) -> dict[str, str]:
        """The state of every key by its id."""
        return {key.kid: key.state for key in await self.keys()}

    async def let_time_pass(self, seconds: float) -> None:
        """Make everything that happened to any key happen earlier, on the database's clock."""
        moments = ("created_at", "activated_at", "retiring_at", "retired_at")
        changes = ", ".join(f"{moment} = {moment} - make_interval(secs => $1)" for moment in moments)
        statement = f"UPDATE signing_keys SET {changes}"  # noqa: S608 - names of ours
        await as_owner(self.databases.auth.owner, lambda c: c.execute(statement, seconds))

    async def events(self) -> list[tuple[str, str]]:
        """What the audit log says was done to which key, in order."""
        rows = await as_owner(
            self.databases.auth.owner,
            lambda c: c.fetch(
                "SELECT action, object_id FROM audit_events WHERE object_type = 'key' ORDER BY at"
            ),
        )
        return [(row["action"], row["object_id"]) for row in rows]
