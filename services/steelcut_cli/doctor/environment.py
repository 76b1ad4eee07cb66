"""What the environment holds: each variable by itself, so that a mistake in one hides nothing of the others."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from pydantic import create_model
from pydantic_settings import SettingsConfigDict

from auth_service.settings import AuthAdministrationSettings, AuthOwnerSettings, AuthSettings, KeySettings
from resource_service.settings import ResourceAdministrationSettings, ResourceSettings
from steelcut.service.settings import ConfigurationError, ServiceSettings, load, variable_name
from steelcut_cli.settings import CallerSettings

if TYPE_CHECKING:
    from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class Environment:
    """What the checks go by; None is what is not set, or cannot be used."""

    auth: AuthSettings | None
    resource: ResourceSettings | None
    auth_issuer: str | None
    resource_issuer: str | None
    caller_issuer: str | None
    base_url: str | None
    jwks_uri: str | None
    limits_url: SecretStr | None
    leeway_seconds: float
    key_rotation_days: int | None
    keys: KeySettings | None
    caller: CallerSettings
    urls: dict[str, SecretStr] = field(repr=False)

    @classmethod
    def read(cls) -> Self:
        """Read the environment; raises nothing, whatever it holds."""
        auth, resource = _whole(AuthSettings), _whole(ResourceSettings)
        return cls(
            auth=auth,
            resource=resource,
            auth_issuer=auth.issuer if auth else one(AuthSettings, "issuer"),
            resource_issuer=resource.issuer if resource else one(ResourceSettings, "issuer"),
            caller_issuer=one(CallerSettings, "issuer"),
            base_url=resource.base_url if resource else one(ResourceSettings, "base_url"),
            jwks_uri=one(ResourceSettings, "jwks_uri"),
            limits_url=one(AuthSettings, "limits_url"),
            leeway_seconds=_or_default(ResourceSettings, "leeway_seconds"),
            key_rotation_days=one(AuthSettings, "key_rotation_days"),
            keys=_whole(KeySettings),
            caller=_whole(CallerSettings) or CallerSettings.model_construct(),
            urls={
                variable_name(settings_class, name): url
                for settings_class, name in _URLS
                if (url := one(settings_class, name)) is not None
            },
        )

    @property
    def issuer(self) -> str | None:
        """The issuer that is asked: by the auth service's own word, else by that of who trusts it."""
        return self.auth_issuer or self.resource_issuer or self.caller_issuer


_URLS: tuple[tuple[type[ServiceSettings], str], ...] = (
    (AuthSettings, "database_url"),
    (AuthSettings, "listen_database_url"),
    (AuthAdministrationSettings, "admin_database_url"),
    (AuthOwnerSettings, "owner_database_url"),
    (ResourceSettings, "database_url"),
    (ResourceSettings, "listen_database_url"),
    (ResourceSettings, "publisher_database_url"),
    (ResourceAdministrationSettings, "owner_database_url"),
)


def is_set(variable: str) -> bool:
    """Say whether somebody gave ``variable``, by itself or as a file."""
    return bool(os.environ.get(variable) or os.environ.get(f"{variable}_FILE"))


def one(settings_class: type[ServiceSettings], name: str) -> Any:
    """Return the value of one variable, None when it is not set or cannot be used."""
    if not is_set(variable_name(settings_class, name)):
        return None
    try:
        return getattr(load(_alone(settings_class, name)), name)
    except ConfigurationError:
        return None


def _alone(settings_class: type[ServiceSettings], name: str) -> type[ServiceSettings]:
    """Return a class of one setting, which nothing that is wrong with others can spoil."""
    known = settings_class.model_fields[name]
    prefix = SettingsConfigDict(env_prefix=settings_class.model_config.get("env_prefix", ""))
    base = type("Prefixed", (ServiceSettings,), {"model_config": prefix, "__module__": __name__})
    fields: Any = {name: (known.annotation, known)}
    return create_model("Single", __base__=base, **fields)


def _whole(settings_class: type[Any]) -> Any:
    try:
        return load(settings_class)
    except ConfigurationError:
        return None


def _or_default(settings_class: type[ServiceSettings], name: str) -> Any:
    value = one(settings_class, name)
    return settings_class.model_fields[name].default if value is None else value
