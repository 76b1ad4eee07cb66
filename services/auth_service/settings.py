"""Every knob of the authorization server, with its unit and its default."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from auth_service import os_keyring
from auth_service.key_life import KeyTiming
from auth_service.signing_keys import SigningAlgorithm
from steelcut.discovery import check_issuer
from steelcut.service.http.callers import parse_networks
from steelcut.service.settings import (
    HOW_TO_MAKE,
    ConfigurationError,
    DatabaseUrl,
    Host,
    LogFormat,
    ServiceSettings,
    ServingSettings,
    variable_name,
)

MASTER_KEY_BYTES = 32
# What it takes to read the keys again.
REFRESHING_SECONDS = 5.0


def _check_master_key(value: SecretStr) -> SecretStr:
    try:
        size = len(base64.b64decode(value.get_secret_value(), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if size != MASTER_KEY_BYTES:
        raise ValueError(f"must be {MASTER_KEY_BYTES} random bytes in base64; {HOW_TO_MAKE}")
    return value


MasterKeyText = Annotated[SecretStr, AfterValidator(_check_master_key)]


class _Keyring(PydanticBaseSettingsSource):
    """The source behind ``AUTH_MASTER_KEY_KEYRING``, asked last."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        variable = variable_name(self.settings_cls, field_name)
        entry = self.current_state.get(f"{field_name}_keyring")
        if not entry:
            return None, field_name, False
        if self.current_state.get(field_name):
            raise ConfigurationError([f"{variable} and {variable}_KEYRING are both set: keep one of them."])
        return os_keyring.read(f"{variable}_KEYRING", entry), field_name, False

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields
        names = ("master_key", "previous_master_key")
        values = {name: self.get_field_value(fields[name], name)[0] for name in names}
        return {name: value for name, value in values.items() if value is not None}


class TimingSettings(ServiceSettings):
    """How long what the service hands out goes on having effect."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    token_lifetime_seconds: int = Field(
        3600, ge=1, le=86_400, description="Longest life of an access token, in seconds"
    )
    jwks_max_age_seconds: int = Field(
        300, ge=1, le=86_400, description="How long a resource server may keep the public keys, in seconds"
    )
    cache_max_age_seconds: float = Field(
        5.0,
        ge=0,
        le=300,
        description="How long clients and keys are kept before they are read again, in seconds",
    )
    stale_seconds: float = Field(
        60.0,
        ge=0,
        le=3600,
        description=(
            "How long after that a known client still gets tokens while the database is away; what was changed "
            "meanwhile is not known then; 0 refuses them all with 503; in seconds"
        ),
    )

    @property
    def refresh_seconds(self) -> float:
        """How often the keys are read again when nothing is heard: a second apart at least, in seconds."""
        return max(self.cache_max_age_seconds, 1.0)

    @property
    def keys_known_seconds(self) -> float:
        """How long a process goes on with the keys that it has read, in seconds: while the database is away, too."""
        return self.refresh_seconds + self.stale_seconds + REFRESHING_SECONDS

    @property
    def key_timing(self) -> KeyTiming:
        """What decides when a key may be promoted or retired."""
        return KeyTiming(
            token_lifetime_seconds=self.token_lifetime_seconds,
            jwks_max_age_seconds=self.jwks_max_age_seconds,
            refresh_seconds=self.keys_known_seconds,
        )


class KeySettings(TimingSettings):
    """What it takes to make, to seal and to open signing keys."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    master_key: MasterKeyText = Field(
        description="32 random bytes in base64 that seal the signing keys in the database"
    )
    master_key_keyring: str | None = Field(
        None,
        description="Instead of it: the entry of the operating system's keyring that holds it, as service/username",
    )
    previous_master_key: MasterKeyText | None = Field(
        None, description="While the master key is changed: the old one, until `steelcut keys reseal` is done"
    )
    previous_master_key_keyring: str | None = Field(
        None, description="Instead of it: the entry of the keyring that holds the old one"
    )
    signing_algorithm: SigningAlgorithm = Field(
        "ES256", description="Algorithm of new signing keys: ES256, RS256 or EdDSA"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Ask the keyring after all others."""
        sources = super().settings_customise_sources(
            settings_cls, init_settings, env_settings, dotenv_settings, file_secret_settings
        )
        return *sources, _Keyring(settings_cls)


class AuditSettings(ServiceSettings):
    """How long the audit log is kept."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    audit_months_kept: int = Field(
        12,
        ge=1,
        le=120,
        description="How many months of the audit log are kept, the current one among them; older ones are dropped by"
        " the processes that have AUTH_ADMIN_DATABASE_URL, or by `steelcut audit maintain`",
    )


def _check_own_issuer(issuer: str) -> str:
    # Others' issuers may end in one; ours has one spelling, and the paths of its endpoints stand behind it.
    if check_issuer(issuer).endswith("/"):
        raise ValueError("the issuer must not end in a slash")
    return issuer


def _check_limits_url(url: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(url.get_secret_value())
        is_one = bool(parts.hostname and parts.port)
    except ValueError:
        is_one = False
    if not is_one or not url.get_secret_value().startswith(("redis://", "rediss://")):
        raise ValueError(
            "must look like redis://:password@host:6379/0, with the port, and a / in the password written as %2F"
        )
    return url


def _check_proxies(text: str) -> str:
    parse_networks(text)
    return text


def _check_quota(text: str) -> str:
    # Only where it is wanted: the command line reads these settings too.
    from limits import parse_many  # noqa: PLC0415

    try:
        quotas = parse_many(text)
    except ValueError:
        quotas = []
    # Of several the first alone would count.
    if len(quotas) != 1 or not quotas[0].amount:
        raise ValueError("must look like 600/minute or 100/10 seconds")
    return text


class LimitSettings(ServiceSettings):
    """How often who may fail, how many tokens a client may have, and who tells where callers are."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    failures_allowed: int = Field(
        0,
        ge=0,
        le=10_000,
        description="Failed authentications of one client id from one address before they have to wait; five times as"
        " many of one client id, or from one address; 0 counts none; first name the proxies before this service",
    )
    failures_window_seconds: int = Field(
        600, ge=1, le=86_400, description="How long they are counted together, in seconds"
    )
    failures_longest_wait_seconds: int = Field(
        60, ge=1, le=3600, description="The longest of the waits, which grow as 1, 2, 4 …, in seconds"
    )
    quota_tokens: Annotated[str, AfterValidator(_check_quota)] | None = Field(
        None, description="Optional: how many tokens a client may have in a while, as in 600/minute"
    )
    quota_mode: Literal["observe", "enforce"] = Field(
        "observe",
        description="`observe`: the log tells who is over the quota; `enforce`: they are answered 429",
    )
    trusted_proxies: Annotated[str, AfterValidator(_check_proxies)] | None = Field(
        None,
        description="Optional: addresses or networks of the proxies before this service, with commas between: their"
        " X-Forwarded-For or Forwarded tells where a request comes from, nobody else's does",
    )
    limits_url: Annotated[SecretStr, AfterValidator(_check_limits_url)] | None = Field(
        None,
        description="Optional: URL of the Redis in which all replicas count together; without it each counts alone",
    )


class AuthSettings(ServingSettings, KeySettings, AuditSettings, LimitSettings):
    """What one process of the authorization server needs to know."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")
    seen_at: ClassVar[str] = "issuer"

    issuer: Annotated[str, AfterValidator(_check_own_issuer)] = Field(
        "http://127.0.0.1:8000",
        description="URL under which clients and resource servers see this service; the token's `iss`",
    )
    database_url: DatabaseUrl = Field(description="PostgreSQL URL of the run-time role of the auth database")
    listen_database_url: DatabaseUrl | None = Field(
        None,
        description="Optional: the direct URL, where AUTH_DATABASE_URL leads to pgbouncer: LISTEN needs a session",
    )
    admin_database_url: DatabaseUrl | None = Field(
        None,
        description="Optional: PostgreSQL URL of the administrator role, for a process that administers too",
    )
    key_rotation_days: int | None = Field(
        None,
        ge=1,
        le=3650,
        description="Optional: how long a signing key signs, in days; its successor follows without anybody's help, by"
        " the processes that have AUTH_ADMIN_DATABASE_URL",
    )
    cache_size: int = Field(10_000, ge=1, description="How many clients one process keeps at most")
    imported_secret_threads: int = Field(
        2, ge=1, le=64, description="How many slow hashes of imported secrets are computed at once"
    )
    imported_secret_waiting: int = Field(
        32, ge=0, le=10_000, description="How many more of them may wait; a request beyond gets 503"
    )
    imported_secret_remembered_seconds: float = Field(
        3600.0,
        ge=0,
        le=86_400,
        description="How long an imported secret that was right is remembered after its last use, in seconds",
    )
    database_pool_size: int = Field(
        10, ge=1, le=1000, description="Database connections of one process at most"
    )
    database_wait_seconds: float = Field(
        30.0, ge=0, le=3600, description="How long a start waits for the database, in seconds"
    )
    metrics_by_client: bool = Field(
        default=False,
        description="Whether the metrics count the tokens of each client, of 10,000 clients at most",
    )
    host: Host = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on")
    log_format: LogFormat = Field("auto", description="`json`, `console`, or `auto`: console on a terminal")


class AuthOwnerSettings(ServiceSettings):
    """What `steelcut db upgrade` needs to make roles and schema; the service never reads it."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    owner_database_url: DatabaseUrl = Field(description="PostgreSQL URL of the owner of the auth database")
    bootstrap_database_url: DatabaseUrl | None = Field(
        None,
        description="Optional: PostgreSQL URL of a role that may create the roles and the auth database",
    )


class AuthAdministrationSettings(ServiceSettings):
    """What the command line needs to administer the authorization server."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    admin_database_url: DatabaseUrl = Field(
        description="PostgreSQL URL of the administrator role of the auth database"
    )
