"""The keyring of the operating system as the place of the master key (optional extra ``keyring``)."""

from __future__ import annotations

from typing import Any

from steelcut.service.settings import ConfigurationError


def find(variable: str, entry: str) -> str | None:
    """Return the password behind ``entry``, ``service/username``, which the environment ``variable`` names.

    None when there is no such entry. Raises ``ConfigurationError`` when the extra or the keyring is missing.
    """
    service, username = _split(variable, entry)
    keyring = _keyring(variable)
    try:
        return keyring.get_password(service, username) or None
    except keyring.errors.KeyringError as error:
        raise _unusable(variable, error) from None


def read(variable: str, entry: str) -> str:
    """Do as ``find`` does, but raise ``ConfigurationError`` for a missing entry too."""
    password = find(variable, entry)
    if password is None:
        raise ConfigurationError(
            [f"{variable}: the keyring has no entry {entry}: `steelcut keys store-master-key` makes one."]
        )
    return password


def store(variable: str, entry: str, password: str) -> None:
    """Put ``password`` behind ``entry``, in the place of what is there. Raises ``ConfigurationError``."""
    service, username = _split(variable, entry)
    keyring = _keyring(variable)
    try:
        keyring.set_password(service, username, password)
    except keyring.errors.KeyringError as error:
        raise _unusable(variable, error) from None


def _split(variable: str, entry: str) -> tuple[str, str]:
    service, _, username = entry.rpartition("/")
    if not service or not username:
        raise ConfigurationError(
            [f"{variable}: must look like service/username, for example steelcut/master-key."]
        )
    return service, username


def _keyring(variable: str) -> Any:
    try:
        import keyring  # noqa: PLC0415 - an extra that most servers do without
        import keyring.errors  # noqa: PLC0415
    except ImportError:
        raise ConfigurationError(
            [f"{variable} needs the package keyring: install steelcut with the extra `keyring`."]
        ) from None
    return keyring


def _unusable(variable: str, error: Exception) -> ConfigurationError:
    # The type alone: a backend's message may hold anything.
    return ConfigurationError(
        [
            f"{variable}: the keyring of this machine cannot be used ({type(error).__name__}): unlock or install one."
        ]
    )
