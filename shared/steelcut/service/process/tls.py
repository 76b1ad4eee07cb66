"""TLS in the service itself, where no proxy terminates it: what is served with, and one sentence for each mistake."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from pydantic import SecretStr

from steelcut.service.settings import ConfigurationError, variable_name

if TYPE_CHECKING:
    from steelcut.service.settings import ServingSettings

# Certificates are renewed days before their end.
RENEWAL_SECONDS: Final = 60.0
_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_PRIVATE_KEY: Final = b"PRIVATE KEY-----"


@dataclass(frozen=True, slots=True)
class Tls:
    """The files of a certificate and its key, with the names of the variables that name them."""

    certificate: Path
    key: Path
    password: SecretStr | None
    certificate_variable: str
    key_variable: str
    password_variable: str

    @classmethod
    def from_settings(cls, settings: ServingSettings) -> Self | None:
        """Return what the settings name, None where the process speaks plain HTTP."""
        if settings.tls_certificate_file is None or settings.tls_key_file is None:
            return None
        variables = [
            variable_name(type(settings), name)
            for name in ("tls_certificate_file", "tls_key_file", "tls_key_password")
        ]
        return cls(
            settings.tls_certificate_file, settings.tls_key_file, settings.tls_key_password, *variables
        )

    def __call__(self, *_: object) -> ssl.SSLContext:
        """Return what a server needs, from the files as they are now: the ``ssl_context_factory`` of uvicorn.

        TLS 1.2 and 1.3, with the ciphers that Python chooses. Raises ``ConfigurationError``.
        """
        self._check(self.certificate, self.certificate_variable, _CERTIFICATE, "certificate")
        self._check(self.key, self.key_variable, _PRIVATE_KEY, "private key")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # The default of Python, which the configuration of the machine's OpenSSL may lower.
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # In TLS 1.2 a caller could ask for a new handshake again and again, which costs us more than them.
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        self._load(context)
        return context

    async def renewing(self, context: ssl.SSLContext, seconds: float) -> None:
        """Have ``context`` take the files anew when they have changed, looking every ``seconds``, until cancelled.

        Connections that are open go on with what they began with. Files that cannot be used change nothing, and the log
        says so once for each change: one of two that are written one after the other is such a moment.
        """
        log = logging.getLogger("uvicorn.error")
        seen = None
        while True:
            now = self._versions()
            if now != seen:
                try:
                    # First apart: a context that took half of it would serve nobody.
                    self()
                    self._load(context)
                except ConfigurationError as error:
                    log.error("The certificate is not renewed, the former one stays. %s", error)  # noqa: TRY400
                else:
                    if seen is not None:
                        log.info("The certificate was read anew.")
                seen = now
            await asyncio.sleep(seconds)

    def _versions(self) -> list[tuple[int, int, int] | None]:
        versions: list[tuple[int, int, int] | None] = []
        for file in (self.certificate, self.key):
            try:
                found = file.stat()
            except OSError:
                versions.append(None)
            else:
                versions.append((found.st_mtime_ns, found.st_size, found.st_ino))
        return versions

    def _load(self, context: ssl.SSLContext) -> None:
        asked = False

        def password() -> str:
            nonlocal asked
            asked = True
            return self.password.get_secret_value() if self.password else ""

        try:
            # Without a function, OpenSSL would ask at the terminal.
            context.load_cert_chain(self.certificate, self.key, password)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise ConfigurationError([self._sentence(error, asked=asked)]) from None

    def _check(self, file: Path, variable: str, mark: bytes, name: str) -> None:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise ConfigurationError([f"{variable} cannot be read: {error.strerror}."]) from None
        if mark not in content:
            raise ConfigurationError([f"{variable}: the file holds no {name} in PEM."])

    def _sentence(self, error: Exception, *, asked: bool) -> str:
        reason = getattr(error, "reason", None) or type(error).__name__
        if reason == "KEY_VALUES_MISMATCH":
            return f"{self.key_variable}: the key is not that of the first certificate in {self.certificate_variable}."
        if asked and self.password is None:
            return f"{self.key_variable}: it is encrypted: set {self.password_variable}_FILE, a file with its password."
        if asked:
            return f"{self.password_variable}: it does not open the key in {self.key_variable}."
        return f"{self.certificate_variable} and {self.key_variable}: OpenSSL takes them not ({reason})."
