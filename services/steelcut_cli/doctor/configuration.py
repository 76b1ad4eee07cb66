"""Whether the settings of both services can be read, and agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from auth_service.settings import AuthAdministrationSettings, AuthOwnerSettings, AuthSettings, KeySettings
from resource_service.settings import ResourceAdministrationSettings, ResourceSettings
from steelcut.service.settings import HOW_TO_MAKE, ConfigurationError, ServiceSettings, load, variable_name
from steelcut_cli.doctor.environment import is_set
from steelcut_cli.doctor.findings import Finding, failed, not_checked, ok, warning
from steelcut_cli.settings import CallerSettings

if TYPE_CHECKING:
    from steelcut_cli.doctor.environment import Environment

# What is read beside the settings of a service, so that a mistake in it is found too.
_FURTHER: Final[dict[type[ServiceSettings], tuple[type[ServiceSettings], ...]]] = {
    AuthSettings: (AuthAdministrationSettings, AuthOwnerSettings, KeySettings),
    ResourceSettings: (ResourceAdministrationSettings,),
    CallerSettings: (),
}


def check(environment: Environment) -> Iterator[Finding]:
    """Check each service's settings, then what they must agree about."""
    yield from _settings("auth configuration", AuthSettings)
    yield from _settings("resource configuration", ResourceSettings)
    yield from _settings("caller configuration", CallerSettings, quiet=True)
    yield _agreement(environment)
    auth = environment.auth
    if auth is not None and auth.key_rotation_days is not None and auth.admin_database_url is None:
        yield warning(
            "key rotation",
            "AUTH_KEY_ROTATION_DAYS is set and AUTH_ADMIN_DATABASE_URL is not: a process with this environment rotates"
            " no keys.",
            "Give one process at least both.",
        )


def _settings(name: str, settings_class: type[ServiceSettings], *, quiet: bool = False) -> Iterator[Finding]:
    mistakes, unset = _mistakes(settings_class)
    for mistake in mistakes:
        yield failed(name, mistake)
    if mistakes or quiet:
        return
    if not unset:
        yield ok(name, "Every setting can be used.")
        return
    some = any(is_set(variable_name(settings_class, field)) for field in settings_class.model_fields)
    found = f"{' and '.join(unset)} {'is' if len(unset) == 1 else 'are'} not set."
    yield not_checked(
        name,
        f"{found} The service would not start with this environment." if some else found,
        f"Run this with the variables of the service. {HOW_TO_MAKE}",
    )


def _mistakes(settings_class: type[ServiceSettings]) -> tuple[list[str], list[str]]:
    """Return a sentence for each mistake, and the variables that the service needs and nobody set."""
    mistakes: dict[str, None] = {}
    unset: list[str] = []
    for each in (settings_class, *_FURTHER[settings_class]):
        try:
            load(each)
        except ConfigurationError as error:
            mistakes |= dict.fromkeys(s for s in error.sentences if s not in error.unset)
            if each is settings_class:
                unset = list(error.unset.values())
    return list(mistakes), unset


def _agreement(environment: Environment) -> Finding:
    name = "issuer in the configuration"
    named = {
        "AUTH_ISSUER": environment.auth_issuer,
        "RESOURCE_ISSUER": environment.resource_issuer,
        "STEELCUT_ISSUER": environment.caller_issuer,
    }
    said = {variable: issuer for variable, issuer in named.items() if issuer is not None}
    if len(said) < 2:
        return not_checked(
            name,
            f"Only {next(iter(said))} is set." if said else "No issuer is set.",
            f"Set {' and '.join(variable for variable in list(named)[:2] if variable not in said)} to compare them.",
        )
    if len(set(said.values())) == 1:
        return ok(name, f"{', '.join(said)}: all are {environment.issuer}.")
    differing = ", ".join(f"{variable} is {issuer}" for variable, issuer in said.items())
    return failed(
        name,
        f"{differing}: the tokens of one are not the other's.",
        "Make them the same, to the letter: the `iss` of a token is compared as text (RFC 9068 §4).",
    )
