"""What ``steelcut dev`` remembers between two starts: one private directory."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shlex
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, Self

from steelcut_cli.errors import Refusal

RESOURCE: Final = "api_v0.0.1"
SCOPES: Final = ("read", "write")
CLIENT_NAME: Final = "Jane Doe"


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made at the first start, kept ever after. ``client_id`` is empty until the client is registered."""

    auth_owner_password: str = field(repr=False)
    auth_runtime_password: str = field(repr=False)
    resource_owner_password: str = field(repr=False)
    resource_runtime_password: str = field(repr=False)
    master_key: str = field(repr=False)
    auth_admin_password: str = field(repr=False)
    resource_publisher_password: str = field(repr=False)
    client_id: str = ""
    client_secret: str = field(default="", repr=False)

    @classmethod
    def fresh(cls) -> Self:
        """Return new random secrets, without a client."""
        return cls(
            auth_owner_password=secrets.token_hex(24),
            auth_runtime_password=secrets.token_hex(24),
            resource_owner_password=secrets.token_hex(24),
            resource_runtime_password=secrets.token_hex(24),
            master_key=base64.b64encode(secrets.token_bytes(32)).decode(),
            auth_admin_password=secrets.token_hex(24),
            resource_publisher_password=secrets.token_hex(24),
        )


@dataclass(frozen=True, slots=True)
class Urls:
    """Where both services listen, as clients see them."""

    auth_port: int
    resource_port: int

    @property
    def issuer(self) -> str:
        """The authorization server, and the ``iss`` of its tokens."""
        return f"http://127.0.0.1:{self.auth_port}"

    @property
    def base_url(self) -> str:
        """The resource service."""
        return f"http://127.0.0.1:{self.resource_port}"

    @property
    def document(self) -> str:
        """The example document, which is also the identifier of its resource."""
        return f"{self.base_url}/{RESOURCE}"


class StateDirectory:
    """The directory, mode 0700; every file in it that matters has mode 0600."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.postgres = path / "postgres"
        self.env_file = path / "dev.env"
        self.lock = path / "dev.lock"
        self._secrets = path / "secrets.json"

    def make(self) -> None:
        """Make the directory if need be and close it to others.

        Raises :class:`Refusal` for a directory that others have put something into.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.lock.exists() and any(self.path.iterdir()):
                raise Refusal(
                    f"{self.path} holds other things: name an empty or a new directory with --state DIR."
                )
            self.path.chmod(0o700)
            self.lock.touch(mode=0o600)
            # In whatever repository it lies, no secret of it gets committed.
            write_private(self.path / ".gitignore", "*\n")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise Refusal(
                f"{self.path} cannot be used ({reason}): name another place with --state DIR."
            ) from None

    def secrets(self) -> Secrets:
        """Return the secrets, new ones at the first start. Raises :class:`Refusal` when they were lost."""
        if not self._secrets.exists():
            if self.postgres.exists():
                raise Refusal(f"{self._secrets} is missing: remove {self.path} to start afresh.")
            return self.keep(Secrets.fresh())
        try:
            known = json.loads(self._secrets.read_text(encoding="utf-8"))
            # A directory of version 0.1.0 has neither administrator nor publisher yet.
            later = ("auth_admin_password", "resource_publisher_password")
            return self.keep(Secrets(**{**{name: secrets.token_hex(24) for name in later}, **known}))
        except (OSError, ValueError, TypeError):
            raise Refusal(f"{self._secrets} cannot be read: remove {self.path} to start afresh.") from None

    def keep(self, kept: Secrets) -> Secrets:
        """Write ``kept`` down and return it."""
        write_private(self._secrets, json.dumps(asdict(kept), indent=2) + "\n")
        return kept

    def keep_client(self, kept: Secrets, client_id: str, client_secret: str) -> Secrets:
        """Write down which client was registered."""
        return self.keep(replace(kept, client_id=client_id, client_secret=client_secret))

    def log(self, service: str) -> Path:
        """Return where a service's log goes."""
        return self.path / f"{service}.log"


def database_environment(kept: Secrets, server: str, superuser_url: str) -> dict[str, str]:
    """Return the variables by which `steelcut db`, `keys`, `clients` … reach both databases on ``server``."""

    def url(service: str, role: str, password: str) -> str:
        return f"postgresql://{role}:{password}@{server}/steelcut_{service}"

    return {
        "AUTH_DATABASE_URL": url("auth", "steelcut_auth", kept.auth_runtime_password),
        "AUTH_OWNER_DATABASE_URL": url("auth", "steelcut_auth_owner", kept.auth_owner_password),
        "AUTH_ADMIN_DATABASE_URL": url("auth", "steelcut_auth_admin", kept.auth_admin_password),
        "AUTH_BOOTSTRAP_DATABASE_URL": superuser_url,
        "AUTH_MASTER_KEY": kept.master_key,
        "RESOURCE_DATABASE_URL": url("resource", "steelcut_resource", kept.resource_runtime_password),
        "RESOURCE_OWNER_DATABASE_URL": url(
            "resource", "steelcut_resource_owner", kept.resource_owner_password
        ),
        "RESOURCE_PUBLISHER_DATABASE_URL": url(
            "resource", "steelcut_resource_publisher", kept.resource_publisher_password
        ),
        "RESOURCE_BOOTSTRAP_DATABASE_URL": superuser_url,
    }


def public_environment(urls: Urls) -> dict[str, str]:
    """Return the variables that say under which URLs the services are seen."""
    return {
        "AUTH_ISSUER": urls.issuer,
        "AUTH_PORT": str(urls.auth_port),
        "RESOURCE_ISSUER": urls.issuer,
        "RESOURCE_BASE_URL": urls.base_url,
        "RESOURCE_PORT": str(urls.resource_port),
    }


def caller_environment(kept: Secrets, urls: Urls) -> dict[str, str]:
    """Return the variables that a client needs."""
    return {
        "STEELCUT_ISSUER": urls.issuer,
        "STEELCUT_TOKEN_URL": f"{urls.issuer}/token",
        "STEELCUT_DOCUMENT_URL": urls.document,
        "STEELCUT_CLIENT_ID": kept.client_id,
        "STEELCUT_CLIENT_SECRET": kept.client_secret,
        "STEELCUT_RESOURCE": urls.document,
        "STEELCUT_SCOPE": " ".join(SCOPES),
    }


def env_file_text(*environments: dict[str, str]) -> str:
    """Return lines that a POSIX shell reads with ``.``."""
    header = "# Written by `steelcut dev` at each start. Read it with: set -a; . FILE; set +a\n"
    return header + "".join(
        f"{name}={shlex.quote(value)}\n"
        for environment in environments
        for name, value in environment.items()
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, whole or not at all."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
