"""The certificates that the services themselves serve with, where no proxy has them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from cryptography import x509

from steelcut.service.process.tls import Tls
from steelcut.service.settings import ConfigurationError
from steelcut_cli import output
from steelcut_cli.doctor.findings import Finding, failed, ok, warning

if TYPE_CHECKING:
    from steelcut.service.settings import ServingSettings
    from steelcut_cli.doctor.environment import Environment

# Those who renew by themselves do so a month before the end.
SOON: Final = timedelta(days=14)


def check(environment: Environment) -> Iterator[Finding]:
    """Look at the certificate of each service that speaks TLS: key, end, and the name that clients call it by."""
    if environment.auth is not None:
        yield from _certificate("auth certificate", environment.auth)
    if environment.resource is not None:
        yield from _certificate("resource certificate", environment.resource)


def _certificate(name: str, settings: ServingSettings) -> Iterator[Finding]:
    tls = Tls.from_settings(settings)
    if tls is None:
        return
    try:
        tls()
    except ConfigurationError as error:
        for sentence in error.sentences:
            yield failed(name, sentence)
        return
    certificate = x509.load_pem_x509_certificates(tls.certificate.read_bytes())[0]
    now = datetime.now(UTC)
    left = certificate.not_valid_after_utc - now
    until = f"{'until' if left > timedelta(0) else 'It expired on'} {output.moment(certificate.not_valid_after_utc)}"
    host = urlsplit(str(getattr(settings, settings.seen_at))).hostname or ""
    if left <= timedelta(0):
        yield failed(
            name, f"{until}.", f"Renew it: {tls.certificate_variable}. The service takes it within a minute."
        )
    elif certificate.not_valid_before_utc > now:
        yield failed(
            name,
            f"It is good only from {output.moment(certificate.not_valid_before_utc)} on.",
            f"Let {tls.certificate_variable} name one that is good now, and look at the clock of this host.",
        )
    elif not _is_for(certificate, host):
        yield failed(
            name,
            f"It is not for {host}, by which clients call the service.",
            f"Let {tls.certificate_variable} name one with {host} among its subject alternative names.",
        )
    elif left < SOON:
        yield warning(name, f"It is good for {host} {until}.", f"Renew it: {tls.certificate_variable}.")
    else:
        yield ok(name, f"It is good for {host} {until}.")


def _is_for(certificate: x509.Certificate, host: str) -> bool:
    """Say whether a client that asks for ``host`` takes the certificate (RFC 6125 §6.4)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        return ipaddress.ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        parent = host.partition(".")[2]
        known = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
        return host in known or (bool(parent) and f"*.{parent}" in known)
