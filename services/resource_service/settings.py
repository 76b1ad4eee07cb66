"""Every knob of the resource server, with its unit and its default."""

from __future__ import annotations

from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_settings import SettingsConfigDict

from resource_service.documents import MAX_DOCUMENT_BYTES
from steelcut.discovery import check_issuer, check_resource_identifier
from steelcut.service.settings import DatabaseUrl, Host, LogFormat, ServiceSettings, ServingSettings
from steelcut.verifier import MAX_LEEWAY_SECONDS


def _check_issuer(issuer: str) -> str:
    if check_issuer(issuer).endswith("/"):
        raise ValueError("must not end in a slash: the auth service's name has none")
    return issuer


def _check_base_url(url: str) -> str:
    check_resource_identifier(url)
    if url.endswith("/") or "?" in url:
        raise ValueError(
            "must not end in a slash and have no query: the names of resources are appended to it"
        )
    return url


def _check_jwks_uri(uri: str) -> str:
    parts = urlsplit(uri)
    unwritten = " " in uri or not uri.isascii() or not uri.isprintable()
    if parts.scheme not in ("http", "https") or not parts.hostname or unwritten:
        raise ValueError("must be an absolute URL")
    return uri


class ResourceSettings(ServingSettings):
    """What one process of the resource server needs to know."""

    model_config = SettingsConfigDict(env_prefix="RESOURCE_")
    seen_at: ClassVar[str] = "base_url"

    issuer: Annotated[str, AfterValidator(_check_issuer)] = Field(
        "http://127.0.0.1:8000", description="URL of the authorization server whose tokens open the documents"
    )
    base_url: Annotated[str, AfterValidator(_check_base_url)] = Field(
        "http://127.0.0.1:8001",
        description="URL under which clients see this service; with `/NAME` it is the identifier of a resource",
    )
    jwks_uri: Annotated[str, AfterValidator(_check_jwks_uri)] | None = Field(
        None,
        description="Where this process reads the issuer's public keys, when it cannot reach the issuer under its URL",
    )
    database_url: DatabaseUrl = Field(
        description="PostgreSQL URL of the run-time role of the resource database"
    )
    listen_database_url: DatabaseUrl | None = Field(
        None,
        description="Optional: the direct URL, where RESOURCE_DATABASE_URL leads to pgbouncer: LISTEN needs a session",
    )
    publisher_database_url: DatabaseUrl | None = Field(
        None,
        description=(
            "Optional: PostgreSQL URL of the publisher role, for a process that takes PUT and DELETE; "
            "also for `steelcut documents`"
        ),
    )
    max_document_bytes: int = Field(
        1024 * 1024,
        ge=1024,
        le=MAX_DOCUMENT_BYTES,
        description="Largest document that PUT takes, in bytes; `steelcut documents publish` takes up to 16 MiB",
    )
    upload_seconds: float = Field(
        30.0, gt=0, le=3600, description="How long the document of a PUT may take to arrive, in seconds"
    )
    cache_bytes: int = Field(
        64 * 1024 * 1024,
        ge=0,
        le=1 << 40,
        description="How much of the documents one process keeps in memory, in bytes; 0 reads each from the database",
    )
    cache_max_age_seconds: float = Field(
        5.0,
        ge=0,
        le=300,
        description=(
            "How long a document may be served without asking the database, where that cannot tell of a change; "
            "0 reads each from the database; in seconds"
        ),
    )
    stale_seconds: float = Field(
        60.0,
        ge=0,
        le=3600,
        description=(
            "How long after that a document that is kept is still served while the database is away; 0 answers 503; "
            "in seconds"
        ),
    )
    jwks_cooldown_seconds: float = Field(
        30.0,
        ge=0,
        le=3600,
        description="How long no key is fetched after a token named an unknown one, in seconds",
    )
    leeway_seconds: float = Field(
        30.0,
        ge=0,
        le=MAX_LEEWAY_SECONDS,
        description="How far the issuer's clock may be from ours, in seconds",
    )
    database_pool_size: int = Field(
        10, ge=1, le=1000, description="Database connections of one process at most"
    )
    database_wait_seconds: float = Field(
        30.0, ge=0, le=3600, description="How long a start waits for the database, in seconds"
    )
    host: Host = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8001, ge=0, le=65_535, description="Port to listen on")
    log_format: LogFormat = Field("auto", description="`json`, `console`, or `auto`: console on a terminal")

    def identifier(self, resource: str) -> str:
        """Return the identifier of a resource: its URL, and the ``aud`` of tokens for it (RFC 8707 §2)."""
        return f"{self.base_url}/{resource}"


class ResourceAdministrationSettings(ServiceSettings):
    """What `steelcut db` needs, and `steelcut documents` without a publisher; the service never reads it."""

    model_config = SettingsConfigDict(env_prefix="RESOURCE_")

    owner_database_url: DatabaseUrl = Field(
        description="PostgreSQL URL of the owner of the resource database"
    )
    bootstrap_database_url: DatabaseUrl | None = Field(
        None,
        description="Optional: PostgreSQL URL of a role that may create the roles and the resource database",
    )
