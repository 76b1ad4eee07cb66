"""What the commands read from the environment, besides the settings of the services."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeVar

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

import auth_service.settings
from auth_service.settings import (
    AuthAdministrationSettings,
    AuthOwnerSettings,
    MasterKeyText,
    TimingSettings,
)
from resource_service.settings import ResourceAdministrationSettings
from steelcut.discovery import check_issuer
from steelcut.service.settings import HOW_TO_MAKE, ConfigurationError, DatabaseUrl, ServiceSettings, load
from steelcut_cli.errors import Misuse

Settings = TypeVar("Settings", bound=ServiceSettings)


class AuthDatabaseSettings(AuthOwnerSettings, AuthAdministrationSettings):
    """Everybody who reaches the auth database: the owner, who makes them, the administrator, the run-time role."""

    database_url: DatabaseUrl = Field(description="PostgreSQL URL of the run-time role of the auth database")


class ResourceDatabaseSettings(ResourceAdministrationSettings):
    """Everybody who reaches the resource database: the owner, who makes them, the publisher, the run-time role."""

    publisher_database_url: DatabaseUrl | None = Field(
        None, description="Optional: PostgreSQL URL of the publisher role of the resource database"
    )
    database_url: DatabaseUrl = Field(
        description="PostgreSQL URL of the run-time role of the resource database"
    )


class PublishingSettings(ServiceSettings):
    """As whom `steelcut documents` changes documents: the publisher, or the owner where there is no such role."""

    model_config = SettingsConfigDict(env_prefix="RESOURCE_")

    publisher_database_url: DatabaseUrl | None = Field(
        None, description="PostgreSQL URL of the publisher role of the resource database"
    )
    owner_database_url: DatabaseUrl | None = Field(
        None, description="PostgreSQL URL of the owner of the resource database"
    )

    def url(self) -> SecretStr:
        """Return the URL of the lesser role that was given. Raises :class:`Misuse` without one."""
        chosen = self.publisher_database_url or self.owner_database_url
        if chosen is None:
            raise Misuse(
                "RESOURCE_PUBLISHER_DATABASE_URL is not set, nor RESOURCE_OWNER_DATABASE_URL: set the PostgreSQL URL "
                f"of the publisher of the resource database. {HOW_TO_MAKE}"
            )
        return chosen


class KeyTimingSettings(AuthAdministrationSettings, TimingSettings):
    """What it takes to decide whether a signing key may go on to its next state."""


class KeySettings(AuthAdministrationSettings, auth_service.settings.KeySettings):
    """What it takes to make a signing key and to seal it."""


class AuditUpkeepSettings(AuthAdministrationSettings, auth_service.settings.AuditSettings):
    """What `steelcut audit maintain` reads."""


class AdminApiSettings(AuthAdministrationSettings):
    """What it takes to make a client of the admin API: where that is, and the database."""

    issuer: Annotated[str, AfterValidator(check_issuer)] = Field(
        "http://127.0.0.1:8000",
        description="URL under which clients see the authorization server; the admin API is below it",
    )


class StoredMasterKeySettings(ServiceSettings):
    """What `steelcut keys store-master-key` reads: the master key, and where to put it."""

    model_config = SettingsConfigDict(env_prefix="AUTH_")

    master_key: MasterKeyText | None = Field(None, description="The master key to store")
    master_key_keyring: str | None = Field(None, description="The entry of the keyring, as service/username")


class SteelcutOAuthSettings(ServiceSettings):
    """Where the clients of Steelcut-OAuth are."""

    model_config = SettingsConfigDict(env_prefix="STEELCUT_OAUTH_")

    database_url: DatabaseUrl | None = Field(
        None, description="PostgreSQL URL of the database of Steelcut-OAuth, whose clients are imported"
    )


class PublicUrlSettings(ServiceSettings):
    """Under which URL clients see the resource service."""

    model_config = SettingsConfigDict(env_prefix="RESOURCE_")

    base_url: str = Field(
        "http://127.0.0.1:8001",
        description="URL under which clients see the resource service, without a slash",
    )


class CallerSettings(ServiceSettings):
    """What ``steelcut token`` and ``steelcut fetch`` need to know; `steelcut dev` writes all of it."""

    model_config = SettingsConfigDict(env_prefix="STEELCUT_")
    how_to_make: ClassVar[str] = (
        "`steelcut clients create` makes a client and its secret, `steelcut dev` all of it."
    )

    issuer: str | None = Field(None, description="Issuer; its metadata names the token endpoint")
    token_url: str | None = Field(
        None, description="Token endpoint, when the issuer's metadata is not to be asked"
    )
    client_id: str | None = Field(None, description="The client's id")
    client_secret: SecretStr | None = Field(None, description="The client's secret")
    resource: str | None = Field(
        None,
        description="Resource to ask a token for: its identifier or its short name; default: the client's",
    )
    scope: str | None = Field(
        None, description="Scopes to ask for, separated by spaces; default: the client's"
    )
    document_url: str | None = Field(None, description="What `steelcut fetch` fetches when no URL is given")


def read(settings_class: type[Settings]) -> Settings:
    """Read the environment. Raises :class:`Misuse` with a sentence for each mistake."""
    try:
        return load(settings_class)
    except ConfigurationError as error:
        raise Misuse("\n".join(error.sentences)) from None
