"""Hashes of one secret as other servers store them, each as cheap as its scheme allows."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import argon2
import bcrypt
import httpx
import pytest
from passlib.context import CryptContext

from auth_service import foreign_hashes
from auth_service.transfer.catalogue import Catalogue
from auth_service.transfer.records import ClientRecord, Item, imported_secret, item
from auth_service.transfer.report import Report
from auth_service.transfer.writing import take
from tests.support.system import ACTOR, GRANT, RESOURCE, Registered, Seeded

# As Steelcut-OAuth made them; no part of it is of our form.
SECRET = "PRIVATE-example_example-example_example-example_xyz"
PATIENCE_SECONDS = 10.0
SALT = b"0123456789abcdef"


def argon2_hash(secret: str = SECRET, kind: argon2.Type = argon2.Type.ID) -> str:
    """A PHC string, as Steelcut-OAuth stores it but for its cost."""
    return argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1, type=kind).hash(secret)


def bcrypt_hash(secret: str = SECRET, ident: str = "2a") -> str:
    """Modular crypt format, as Hydra had it for long."""
    return f"${ident}$" + bcrypt.hashpw(secret.encode()[:72], bcrypt.gensalt(4)).decode().removeprefix("$2b$")


def hydra_pbkdf2(secret: str = SECRET, digest: str = "sha256", length: int = 32) -> str:
    """PBKDF2 in the notation of Hydra: plain base64 without padding."""
    output = hashlib.pbkdf2_hmac(digest, secret.encode(), SALT, 10, length)
    return f"$pbkdf2-{digest}$i=10,l={length}${_base64(SALT)}${_base64(output)}"


def django_pbkdf2(secret: str = SECRET, digest: str = "sha256") -> str:
    """Django's own default: an ASCII salt, padded base64."""
    output = hashlib.pbkdf2_hmac(digest, secret.encode(), SALT, 10)
    return f"pbkdf2_{digest}$10${SALT.decode()}${base64.b64encode(output).decode()}"


def django_bcrypt_sha256(secret: str = SECRET) -> str:
    """Django's way around the 72 bytes of bcrypt."""
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return "bcrypt_sha256$" + bcrypt.hashpw(digest.encode(), bcrypt.gensalt(4)).decode()


def django_scrypt(secret: str = SECRET, cost: int = 16) -> str:
    """Django's scrypt, of 64 bytes."""
    output = hashlib.scrypt(secret.encode(), salt=SALT, n=cost, r=8, p=1, dklen=64)
    return f"scrypt${cost}${SALT.decode()}$8$1${base64.b64encode(output).decode()}"


def passlib_hash(scheme: str, rounds: int) -> str:
    """One of passlib's own notations."""
    settings: Any = {f"{scheme}__rounds": rounds}
    return str(CryptContext(schemes=[scheme], **settings).hash(SECRET))


HASHES: Mapping[str, Callable[[], str]] = {
    "argon2id": argon2_hash,
    "argon2i": lambda: argon2_hash(kind=argon2.Type.I),
    "argon2d": lambda: argon2_hash(kind=argon2.Type.D),
    "bcrypt 2a": bcrypt_hash,
    "bcrypt 2b": lambda: bcrypt_hash(ident="2b"),
    "bcrypt 2y": lambda: bcrypt_hash(ident="2y"),
    "Hydra's PBKDF2": hydra_pbkdf2,
    "Hydra's PBKDF2 of 64 bytes": lambda: hydra_pbkdf2(length=64),
    "Hydra's PBKDF2 with sha1": lambda: hydra_pbkdf2(digest="sha1", length=20),
    "Hydra's PBKDF2 with sha512": lambda: hydra_pbkdf2(digest="sha512", length=64),
    "passlib's PBKDF2": lambda: passlib_hash("pbkdf2_sha256", 1),
    "passlib's scrypt": lambda: passlib_hash("scrypt", 1),
    "passlib's bcrypt_sha256": lambda: passlib_hash("bcrypt_sha256", 4),
    "Django's pbkdf2_sha256": django_pbkdf2,
    "Django's pbkdf2_sha1": lambda: django_pbkdf2(digest="sha1"),
    "Django's argon2": lambda: "argon2" + argon2_hash(),
    "Django's bcrypt": lambda: "bcrypt$" + bcrypt_hash(ident="2b"),
    "Django's bcrypt_sha256": django_bcrypt_sha256,
    "Django's scrypt": django_scrypt,
}


def old_client(client_id: str, stored: str, **fields: Any) -> Callable[[list[str]], ClientRecord]:
    """A client of another server, whose secret is ``stored`` there."""
    content = {"grants": {RESOURCE: ("read",)}, **fields}
    return lambda notes: ClientRecord(
        client_id, client_id, secrets=(imported_secret(stored, "from a test", notes),), **content
    )


async def take_old_clients(system: Seeded, stored: Mapping[str, str], **options: Any) -> Report:
    """Import clients by id with the hashes of their secrets."""
    return await system.as_admin(
        lambda c: take(c, ACTOR, "test", reading(stored), **{"apply": True, **options})
    )


def reading(stored: Mapping[str, str]) -> Callable[[Catalogue], list[Item]]:
    """Return what an import reads: clients by id, with the hashes of their secrets."""
    return lambda _: [
        item(client_id, client_id, old_client(client_id, hashed)) for client_id, hashed in stored.items()
    ]


async def import_old_client(system: Seeded, client_id: str = "old", secret: str = SECRET) -> Registered:
    """Import one client that Steelcut-OAuth could have made."""
    report = await take_old_clients(system, {client_id: argon2_hash(secret)})
    assert report.counts["taken"] == 1
    return Registered(client_id, secret)


class SlowHashes:
    """Stands around ``foreign_hashes.verify``: counts, and holds every hash back while ``held``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take its place."""
        self.seen: list[tuple[str, str]] = []
        self.running = asyncio.Semaphore(0)
        self._go = threading.Event()
        self._go.set()
        self._loop = asyncio.get_running_loop()
        self._verify = foreign_hashes.verify
        monkeypatch.setattr(foreign_hashes, "verify", self._held)

    def hold(self) -> None:
        """Let no hash end."""
        self._go.clear()

    def release(self) -> None:
        """Let all go on."""
        self._go.set()

    def _held(self, secret: str, stored: str) -> bool:
        self.seen.append((secret, stored))
        self._loop.call_soon_threadsafe(self.running.release)
        assert self._go.wait(PATIENCE_SECONDS), (
            "the hash ran where nobody could release it: on the event loop"
        )
        return self._verify(secret, stored)


async def ask(http: httpx.AsyncClient, client: Registered, **form: str) -> httpx.Response:
    """Ask for a token."""
    return await http.post("/token", data={**GRANT, **form}, auth=client.basic)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode().rstrip("=")
