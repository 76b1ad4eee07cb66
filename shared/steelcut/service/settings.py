"""Settings from the environment: one class per service, one clear sentence per mistake.

Every variable ``NAME`` may also be given as ``NAME_FILE``, the path of a file that holds the value, which is
how container engines hand over secrets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from steelcut.service.database_urls import one_by_one

# Requests that may wait for one process.
DEFAULT_WAITING = 250
PLACEHOLDERS = ("change-me", "changeme", "change_me", "placeholder", "replace-me")
HOW_TO_MAKE = "`steelcut env` prints a complete set of variables with fresh secrets."


class ConfigurationError(Exception):
    """The environment cannot be used. Holds one sentence per mistake and never a value."""

    def __init__(self, sentences: list[str], unset: Mapping[str, str] | None = None) -> None:
        """Keep ``sentences``, each complete in itself; ``unset`` has the variable of each that says it is not set."""
        super().__init__("\n".join(sentences))
        self.sentences = sentences
        self.unset: Mapping[str, str] = unset or {}


class _Files(PydanticBaseSettingsSource):
    """The source behind ``NAME_FILE``."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        variable = variable_name(self.settings_cls, field_name)
        path = os.environ.get(f"{variable}_FILE")
        if not path:
            return None, field_name, False
        if os.environ.get(variable):
            raise ConfigurationError([f"{variable} and {variable}_FILE are both set: keep one of them."])
        try:
            return Path(path).read_text(encoding="utf-8").strip(), field_name, False
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
            raise ConfigurationError([f"{variable}_FILE cannot be read: {cause}."]) from None

    def __call__(self) -> dict[str, Any]:
        values = {name: self.get_field_value(field, name)[0] for name, field in self._fields()}
        return {name: value for name, value in values.items() if value is not None}

    def _fields(self) -> list[tuple[str, FieldInfo]]:
        return list(self.settings_cls.model_fields.items())


class ServiceSettings(BaseSettings):
    """Base of the settings classes: frozen, from the environment alone, silent about values."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, env_ignore_empty=True, case_sensitive=False
    )
    how_to_make: ClassVar[str] = HOW_TO_MAKE

    @classmethod
    def secret_variables(cls) -> frozenset[str]:
        """Return the names of the variables whose values nobody else may see."""
        return frozenset(
            variable_name(cls, name) for name, field in cls.model_fields.items() if is_secret(field)
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then the environment, then the files that it names."""
        return init_settings, env_settings, _Files(settings_cls)

    @field_validator("*", mode="before")
    @classmethod
    def _no_placeholder(cls, value: Any) -> Any:
        if isinstance(value, str) and any(placeholder in value.lower() for placeholder in PLACEHOLDERS):
            raise ValueError(f"is still the placeholder of the example file; {cls.how_to_make}")
        return value


LogFormat = Literal["auto", "json", "console"]
# More than any machine has use for: a number beyond it is a mistake.
MAX_WORKERS = 256
MAX_PORT = 65_535
# What asyncpg takes in a database URL; it says so late, and of a file in the words of a host that does not answer.
_WORDS_OF_OPTIONS = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "target_session_attrs": ("any", "primary", "standby", "read-write", "read-only", "prefer-standby"),
}
_FILES_OF_OPTIONS = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_ALL_ADDRESSES = frozenset({"0.0.0.0", "::"})  # noqa: S104  # nosec B104 - compared


def _check_host(host: str) -> str:
    if not host.isascii() or not host.isprintable() or " " in host:
        raise ValueError("must be an address or a name, in ASCII")
    return host


Host = Annotated[str, AfterValidator(_check_host)]


class ServingSettings(ServiceSettings):
    """What a settings class must have to be served by ``steelcut.service.process.serving``."""

    # The field that holds the URL under which clients see the service.
    seen_at: ClassVar[str]
    host: Host
    port: int
    log_format: LogFormat
    max_waiting_requests: int = Field(
        DEFAULT_WAITING,
        ge=1,
        le=100_000,
        description="Requests that may wait for one process at once, fewer where a crowd stays; the others are answered"
        " 503 and Retry-After",
    )
    max_connections: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Connections of callers to one process; what comes on those beyond is answered 503, and they end",
    )
    drain_seconds: float = Field(
        0.0,
        ge=0,
        le=300,
        description=(
            "How long a process serves on after SIGTERM, not ready any more and ending each connection with its next "
            "answer; in seconds"
        ),
    )
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=MAX_PORT,
        description="Optional: port of the metrics for Prometheus; several processes take those that follow it, too",
    )
    metrics_host: Host = Field(
        "127.0.0.1", description="Address on which the metrics are to be had, by anybody"
    )
    tracing: bool = Field(
        default=False,
        description="Whether spans go to OpenTelemetry (extra `tracing`); its own variables say where, and how many",
    )
    workers: int = Field(
        1,
        ge=1,
        le=MAX_WORKERS,
        description="Processes that answer at one address; each has its own database connections and caches",
    )

    tls_certificate_file: Path | None = Field(
        None,
        description="Optional: PEM file of a certificate, and of those between it and its authority; with it, and the "
        "key, the process speaks TLS and nothing else",
    )
    tls_key_file: Path | None = Field(None, description="Optional: PEM file of the certificate's private key")
    tls_key_password: SecretStr | None = Field(
        None, description="Optional: what opens that file, where it is encrypted"
    )

    @property
    def is_https(self) -> bool:
        """Whether clients come by TLS, to this process or to a proxy before it."""
        return str(getattr(self, self.seen_at)).startswith("https://")

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        certificate, key, password, url = (
            variable_name(type(self), name)
            for name in ("tls_certificate_file", "tls_key_file", "tls_key_password", self.seen_at)
        )
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError(f"{certificate} and {key} belong together: set both, or neither.")
        if self.tls_key_file is None and self.tls_key_password is not None:
            raise ValueError(f"{password} is set, and {key} is not: there is nothing to open.")
        if self.tls_key_file is not None and not self.is_https:
            raise ValueError(f"{url}: must begin with https://, since {certificate} is set.")
        return self

    @model_validator(mode="after")
    def _metrics_have_their_ports(self) -> Self:
        if not self.metrics_port:
            return self
        variable, port = (variable_name(type(self), name) for name in ("metrics_port", "port"))
        last = self.metrics_port + self.workers - 1
        if last > MAX_PORT:
            raise ValueError(
                f"{variable}: {self.workers} processes take the ports from it on, of which there are none after"
                f" {MAX_PORT}."
            )
        meet = self.host == self.metrics_host or not _ALL_ADDRESSES.isdisjoint({self.host, self.metrics_host})
        if meet and self.metrics_port <= self.port <= last:
            raise ValueError(
                f"{variable}: it, and those that follow it for several processes, must not be {port}."
            )
        return self


def check_database_url(url: SecretStr) -> SecretStr:
    """Refuse what is no PostgreSQL URL, without repeating it; who connects would find it out late, or in silence."""
    text = url.get_secret_value()
    try:
        parts = urlsplit(one_by_one(text)[0])
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"postgresql", "postgres"} or not text.startswith(f"{parts.scheme}://"):
        raise ValueError("must look like postgresql://user:password@host:5432/database")
    if not all(map(_has_a_port_or_none, one_by_one(text))):
        raise ValueError(
            "a port is no number from 1 to 65535, or a /, ? or # in the password is not written as %2F, %3F or %23"
        )
    _check_options(parse_qs(parts.query))
    return url


def _check_options(options: Mapping[str, list[str]]) -> None:
    sizes = options.get("statement_cache_size", [])
    if not all(size.isascii() and size.isdecimal() for size in sizes):
        raise ValueError("statement_cache_size must be a number, 0 behind a pooler")
    for name, words in _WORDS_OF_OPTIONS.items():
        if not set(options.get(name, [])).issubset(words):
            raise ValueError(f"{name} must be one of {', '.join(words)}")
    for name in _FILES_OF_OPTIONS:
        if not all(Path(path).is_file() for path in options.get(name, [])):
            raise ValueError(f"the file that {name} names is not there")


def _has_a_port_or_none(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


DatabaseUrl = Annotated[SecretStr, AfterValidator(check_database_url)]

Settings = TypeVar("Settings", bound=ServiceSettings)


def is_secret(field: FieldInfo) -> bool:
    """Say whether a field of a settings class holds what must not be shown."""
    return "Secret" in str(field.annotation)


def variable_name(settings_class: type[BaseSettings], field_name: str) -> str:
    """Return the environment variable behind a field: ``AUTH_ISSUER`` for ``issuer``."""
    return f"{settings_class.model_config.get('env_prefix', '')}{field_name}".upper()


def load(settings_class: type[Settings], **given: Any) -> Settings:
    """Read the environment into ``settings_class``; what is ``given`` by name comes before it.

    Raises ``ConfigurationError`` with one sentence per mistake; no sentence contains a value.
    """
    try:
        return settings_class(**given)
    except ValidationError as error:
        mistakes = error.errors(include_input=False, include_url=False, include_context=False)
    sentences = [_sentence(settings_class, mistake["loc"], mistake) for mistake in mistakes]
    unset = {
        sentence: variable_name(settings_class, str(mistake["loc"][0]))
        for sentence, mistake in zip(sentences, mistakes, strict=True)
        if mistake["type"] == "missing"
    }
    raise ConfigurationError(sentences, unset)


def _sentence(settings_class: type[ServiceSettings], location: tuple[int | str, ...], mistake: Any) -> str:
    if not location:
        return str(mistake["msg"]).removeprefix("Value error, ")
    name = str(location[0])
    variable = variable_name(settings_class, name)
    if mistake["type"] == "missing":
        description = settings_class.model_fields[name].description or "it is needed"
        return f"{variable} is not set: {description.rstrip('.')}. {HOW_TO_MAKE}"
    message = str(mistake["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{variable}: {message[:1].lower()}{message[1:]}."
