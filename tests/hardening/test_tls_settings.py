"""What is wrong with the settings of TLS is said before anything is served, and what is spoken is ours to say."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from resource_service.settings import ResourceSettings
from steelcut.service.process.serving import run
from steelcut.service.process.tls import Tls
from steelcut.service.settings import load
from tests.support.certificates import Authority

DATABASE_URL = "postgresql://reader:hunter2@127.0.0.1/steelcut_resource"
PASSWORD = "what opens the key"

MISTAKES = {
    "no key": (
        {"KEY_FILE": ""},
        "RESOURCE_TLS_CERTIFICATE_FILE and RESOURCE_TLS_KEY_FILE belong together: set both, or neither.",
    ),
    "no certificate": ({"CERTIFICATE_FILE": ""}, "belong together"),
    "plain identifiers": (
        {"BASE_URL": "http://127.0.0.1:8001"},
        "RESOURCE_BASE_URL: must begin with https://, since RESOURCE_TLS_CERTIFICATE_FILE is set.",
    ),
    "password of nothing": (
        {"CERTIFICATE_FILE": "", "KEY_FILE": "", "KEY_PASSWORD": PASSWORD},
        "RESOURCE_TLS_KEY_PASSWORD is set, and RESOURCE_TLS_KEY_FILE is not: there is nothing to open.",
    ),
    "missing file": (
        {"CERTIFICATE_FILE": "{directory}/nowhere"},
        "RESOURCE_TLS_CERTIFICATE_FILE cannot be read: No such file or directory.",
    ),
    "folder": ({"KEY_FILE": "{directory}"}, "RESOURCE_TLS_KEY_FILE cannot be read: Is a directory."),
    "exchanged": (
        {"CERTIFICATE_FILE": "{directory}/good/key.pem"},
        "RESOURCE_TLS_CERTIFICATE_FILE: the file holds no certificate in PEM.",
    ),
    "certificate for a key": (
        {"KEY_FILE": "{directory}/good/certificate.pem"},
        "RESOURCE_TLS_KEY_FILE: the file holds no private key in PEM.",
    ),
    "key of another": (
        {"KEY_FILE": "{directory}/other/key.pem"},
        "the key is not that of the first certificate in RESOURCE_TLS_CERTIFICATE_FILE.",
    ),
    "encrypted": (
        {"CERTIFICATE_FILE": "{directory}/locked/certificate.pem", "KEY_FILE": "{directory}/locked/key.pem"},
        "RESOURCE_TLS_KEY_FILE: it is encrypted: set RESOURCE_TLS_KEY_PASSWORD_FILE, a file with its password.",
    ),
    "wrong password": (
        {
            "CERTIFICATE_FILE": "{directory}/locked/certificate.pem",
            "KEY_FILE": "{directory}/locked/key.pem",
            "KEY_PASSWORD": "hunter2-wrong",
        },
        "RESOURCE_TLS_KEY_PASSWORD: it does not open the key in RESOURCE_TLS_KEY_FILE.",
    ),
    "damaged": (
        {"CERTIFICATE_FILE": "{directory}/damaged.pem"},
        "RESOURCE_TLS_CERTIFICATE_FILE and RESOURCE_TLS_KEY_FILE: OpenSSL takes them not",
    ),
}


@pytest.fixture(scope="module")
def files(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good certificates and bad ones."""
    directory = tmp_path_factory.mktemp("files")
    authority.certify(directory / "good")
    authority.certify(directory / "other")
    authority.certify(directory / "locked", PASSWORD)
    text = (directory / "good" / "certificate.pem").read_text()
    (directory / "damaged.pem").write_text(text.replace("\nMI", "\nMM"))
    return directory


def set_up(monkeypatch: pytest.MonkeyPatch, files: Path, changes: dict[str, str]) -> None:
    """Set the variables of a resource service that speaks TLS, with ``changes``."""
    variables = {
        "CERTIFICATE_FILE": "{directory}/good/certificate.pem",
        "KEY_FILE": "{directory}/good/key.pem",
        "BASE_URL": "https://127.0.0.1:8001",
        **changes,
    }
    monkeypatch.setenv("RESOURCE_DATABASE_URL", DATABASE_URL)
    for name, value in variables.items():
        variable = f"RESOURCE_{name}" if name == "BASE_URL" else f"RESOURCE_TLS_{name}"
        monkeypatch.setenv(variable, value.format(directory=files))


@pytest.mark.parametrize(("changes", "sentence"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_one_sentence(
    changes: dict[str, str],
    sentence: str,
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before anything is served: which variable, and what is wrong; nothing asks at the terminal."""
    set_up(monkeypatch, files, changes)
    with pytest.raises(SystemExit) as end:
        run("resource_service", "resource_service.app:create_app", ResourceSettings, [])
    (said,) = capsys.readouterr().err.splitlines()
    assert end.value.code == 2
    assert sentence in said
    assert "hunter2" not in said


def test_what_is_spoken_is_said_by_us(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the machine's OpenSSL is configured; and nobody has us shake hands again and again."""
    set_up(monkeypatch, files, {})
    tls = Tls.from_settings(load(ResourceSettings))
    assert tls is not None
    context = tls()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
