"""Every knob of the authorization server, with its unit and its default."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from auth_service.signing_keys import SigningAlgorithm
from steelcut.discovery import check_issuer
from steelcut.service.logs import LogFormat
from steelcut.service.serving import ServingSettings
from steelcut.service.settings import HOW_TO_MAKE, DatabaseUrl, ServiceSettings

MASTER_KEY_BYTES = 32


def _check_master_key(value: SecretStr) -> SecretStr:
    try:
        size = len(base64.b64decode(value.get_secret_value(), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if size != MASTER_KEY_BYTES:
        raise ValueError(f"must be {MASTER_KEY_BYTES} random bytes in base64; {HOW_TO_MAKE}")
    return value


MasterKeyText = Annotated[SecretStr, AfterValidator(_check_master_key)]


class AuthSettings(ServingSettings):
    """What one process of the authorization server needs to know."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    issuer: Annotated[str, AfterValidator(check_issuer)] = Field(
        "http://127.0.0.1:8000",
        description="URL under which clients and resource servers see this service; the token's `iss`",
    )
    database_url: DatabaseUrl = Field(description="PostgreSQL URL of the run-time role of the auth database")
    master_key: MasterKeyText = Field(
        description="32 random bytes in base64 that seal the signing keys in the database"
    )
    signing_algorithm: SigningAlgorithm = Field(
        "ES256", description="Algorithm of the keys that `steelcut keys create` makes: ES256, RS256 or EdDSA"
    )
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
    cache_size: int = Field(10_000, ge=1, description="How many clients one process keeps at most")
    database_pool_size: int = Field(
        10, ge=1, le=1000, description="Database connections of one process at most"
    )
    database_wait_seconds: float = Field(
        30.0, ge=0, description="How long a start waits for the database, in seconds"
    )
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on")
    log_format: LogFormat = Field("auto", description="`json`, `console`, or `auto`: console on a terminal")


class AuthAdministrationSettings(ServiceSettings):
    """What the command line needs to administer the authorization server; the service never reads it."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    owner_database_url: DatabaseUrl = Field(description="PostgreSQL URL of the owner of the auth database")
    bootstrap_database_url: DatabaseUrl | None = Field(
        None, description="Optional: PostgreSQL URL of a role that may create the roles and the auth database"
    )
