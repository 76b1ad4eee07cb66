"""The resource server's configuration: what is refused, and that no value is ever shown."""

from __future__ import annotations

import pytest

from resource_service.settings import ResourceSettings
from steelcut.service.settings import ConfigurationError, load

DATABASE_URL = "postgresql://reader:hunter2@127.0.0.1/steelcut_resource"


def test_database_url_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything else has a default that works on one machine."""
    monkeypatch.setenv("RESOURCE_DATABASE_URL", DATABASE_URL)
    settings = load(ResourceSettings)
    assert settings.identifier("api_v0.0.1") == "http://127.0.0.1:8001/api_v0.0.1"
    assert (settings.issuer, settings.jwks_uri, settings.port) == ("http://127.0.0.1:8000", None, 8001)
    assert (settings.leeway_seconds, settings.jwks_cooldown_seconds) == (30, 30)
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RESOURCE_DATABASE_URL", "mysql://hunter2@127.0.0.1/x"),
        ("RESOURCE_ISSUER", "http://issuer.example"),
        ("RESOURCE_ISSUER", "https://issuer.example/"),
        ("RESOURCE_ISSUER", "https://issuer.example?x=1"),
        ("RESOURCE_BASE_URL", "http://api.example"),
        ("RESOURCE_BASE_URL", "https://api.example/"),
        ("RESOURCE_BASE_URL", "https://api.example?x"),
        ("RESOURCE_BASE_URL", "https://api.example#x"),
        ("RESOURCE_BASE_URL", "api.example"),
        ("RESOURCE_JWKS_URI", "auth:8000/keys"),
        ("RESOURCE_JWKS_URI", "file:///etc/keys"),
        ("RESOURCE_JWKS_URI", "/keys"),
        ("RESOURCE_JWKS_URI", "http://x y"),
        ("RESOURCE_LEEWAY_SECONDS", "61"),
        ("RESOURCE_LEEWAY_SECONDS", "-1"),
        ("RESOURCE_LEEWAY_SECONDS", "nan"),
        ("RESOURCE_JWKS_COOLDOWN_SECONDS", "-1"),
        ("RESOURCE_PORT", "65536"),
        ("RESOURCE_DATABASE_POOL_SIZE", "0"),
        ("RESOURCE_LOG_FORMAT", "xml"),
        ("RESOURCE_PUBLISHER_DATABASE_URL", "mysql://hunter2@127.0.0.1/x"),
        ("RESOURCE_MAX_DOCUMENT_BYTES", "77"),
        ("RESOURCE_MAX_DOCUMENT_BYTES", "16777217"),
        ("RESOURCE_UPLOAD_SECONDS", "-7"),
        ("RESOURCE_UPLOAD_SECONDS", "inf"),
        ("RESOURCE_DATABASE_WAIT_SECONDS", "inf"),
        ("RESOURCE_DATABASE_WAIT_SECONDS", "nan"),
        ("RESOURCE_HOST", "\udcff"),
        ("RESOURCE_HOST", "bücher.example"),
        ("RESOURCE_METRICS_HOST", "\udcff"),
    ],
)
def test_bad_value_is_one_sentence_about_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """A mistake is told by the name of the variable, without its value."""
    monkeypatch.setenv("RESOURCE_DATABASE_URL", DATABASE_URL)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as refusal:
        load(ResourceSettings)
    (sentence,) = refusal.value.sentences
    assert sentence.startswith(variable)
    assert value not in sentence
    assert "hunter2" not in sentence
