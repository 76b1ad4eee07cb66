"""`POST /token` of clients that came from other servers, whose secrets have slow hashes, beside one of our own."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING

import argon2
import bcrypt

from auth_service.transfer.records import item
from auth_service.transfer.writing import take
from benchmarks.load import load, together, token_request
from benchmarks.table import Row
from tests.support.foreign import SALT, SECRET, old_client
from tests.support.system import ACTOR, Registered, as_owner

if TYPE_CHECKING:
    from auth_service.transfer.catalogue import Catalogue
    from auth_service.transfer.records import Item
    from benchmarks.processes import Fleet

ROUNDS = 5
REQUESTS_A_ROUND = 150
TARGET = 2.0


def _pbkdf2(rounds: int) -> str:
    output = hashlib.pbkdf2_hmac("sha256", SECRET.encode(), SALT, rounds)
    return base64.b64encode(output).decode().rstrip("=")


def _hydra() -> str:
    salt = base64.b64encode(SALT).decode().rstrip("=")
    return f"$pbkdf2-sha256$i=25000,l=32${salt}${_pbkdf2(25_000)}"


# As dear as the servers that they come from make them by default.
HASHES: Mapping[str, Callable[[], str]] = {
    "argon2id, 64 MiB, 3 passes (Steelcut-OAuth)": lambda: argon2.PasswordHasher().hash(SECRET),
    "bcrypt, cost 12": lambda: bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(12)).decode(),
    "PBKDF2, 25,000 rounds (Hydra)": _hydra,
    "PBKDF2, 1,000,000 rounds (Django 5.2)": lambda: (
        f"pbkdf2_sha256$1000000${SALT.decode()}${_pbkdf2(1_000_000)}="
    ),
}


async def measure(fleet: Fleet) -> AsyncIterator[Row]:
    """Measure the first request and those from the second on, in turns with a client of our own."""
    stored = {f"old-{number}": (kind, make()) for number, (kind, make) in enumerate(HASHES.items())}

    def read(_: Catalogue) -> list[Item]:
        return [item(name, name, old_client(name, hashed)) for name, (_, hashed) in stored.items()]

    await as_owner(
        fleet.databases.auth_admin, lambda c: take(c, ACTOR, "benchmark", read, apply=True, strict=True)
    )
    native = token_request(fleet.client)
    await load(fleet.auth, native, count=REQUESTS_A_ROUND)
    for name, (kind, _) in stored.items():
        imported = token_request(Registered(name, SECRET))
        begin = time.perf_counter()
        await load(fleet.auth, imported, count=1)
        yield Row(kind, "first request", (time.perf_counter() - begin) * 1000, "ms")
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(await load(fleet.auth, native, count=REQUESTS_A_ROUND))
            theirs.append(await load(fleet.auth, imported, count=REQUESTS_A_ROUND))
        later, own = together(theirs).percentile(0.5), together(ours).percentile(0.5)
        yield Row(kind, "p50 from the second request on", later, "ms")
        yield Row(kind, "beside a client of our own", later / own, "×", at_most=TARGET)
