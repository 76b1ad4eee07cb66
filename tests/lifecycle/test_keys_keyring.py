"""The operating system's keyring as the place of the master key, by a keyring that lives in memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.errors
import pytest

from auth_service.master_key import MasterKey
from auth_service.settings import AuthSettings, KeySettings
from steelcut.service.settings import ConfigurationError, load
from steelcut_cli import main
from tests.auth.test_keys_at_rest import start
from tests.lifecycle.key_operator import new_master_key
from tests.support.databases import Databases

ENTRY = "steelcut/master-key"


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring that forgets."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring leaves it untyped
        self.passwords: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        """Return what was stored."""
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Store."""
        self.passwords[service, username] = password


class LockedKeyring(MemoryKeyring):
    """A keyring that nobody unlocks."""

    def get_password(self, service: str, username: str) -> str | None:
        """Refuse, with words that could hold anything."""
        raise keyring.errors.KeyringLocked(f"hidden words about {service} {username}")


def no_keyring() -> keyring.backend.KeyringBackend:
    """What the package finds on a machine without a desktop."""
    return keyring.backends.fail.Keyring()  # type: ignore[no-untyped-call]  # keyring leaves it untyped


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryKeyring]:
    """An empty keyring, and an environment without a master key."""
    before = keyring.get_keyring()
    for name in ("AUTH_MASTER_KEY", "AUTH_MASTER_KEY_FILE", "AUTH_MASTER_KEY_KEYRING"):
        monkeypatch.delenv(name, raising=False)
    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


def mistakes(settings_class: type[KeySettings] = KeySettings) -> str:
    """What is wrong with the environment."""
    with pytest.raises(ConfigurationError) as refused:
        load(settings_class)
    return str(refused.value)


def test_master_key_from_the_keyring(memory: MemoryKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Service and command line find it there, and the previous one beside it."""
    current, previous = new_master_key(), new_master_key()
    memory.set_password("steelcut", "master-key", current)
    memory.set_password("https://auth.example.com/keys", "2030", previous)
    monkeypatch.setenv("AUTH_MASTER_KEY_KEYRING", ENTRY)
    monkeypatch.setenv("AUTH_PREVIOUS_MASTER_KEY_KEYRING", "https://auth.example.com/keys/2030")
    monkeypatch.setenv("AUTH_DATABASE_URL", "postgresql://u:p@127.0.0.1/d")
    for settings_class in (KeySettings, AuthSettings):
        master_key = MasterKey.from_settings(load(settings_class))
        assert master_key.key_id == MasterKey.from_base64(current).key_id
        assert master_key.previous is not None
        assert master_key.previous.key_id == MasterKey.from_base64(previous).key_id


def test_keyring_or_variable_but_not_both(memory: MemoryKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left to guess which of two keys is used."""
    memory.set_password("steelcut", "master-key", new_master_key())
    monkeypatch.setenv("AUTH_MASTER_KEY_KEYRING", ENTRY)
    monkeypatch.setenv("AUTH_MASTER_KEY", new_master_key())
    assert mistakes() == "AUTH_MASTER_KEY and AUTH_MASTER_KEY_KEYRING are both set: keep one of them."


def test_entry_that_is_not_there(memory: MemoryKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the entry and the command that makes one; another user's entry is none."""
    memory.set_password("steelcut", "other", new_master_key())
    monkeypatch.setenv("AUTH_MASTER_KEY_KEYRING", ENTRY)
    told = mistakes()
    assert "the keyring has no entry steelcut/master-key" in told
    assert "`steelcut keys store-master-key`" in told


@pytest.mark.parametrize("entry", ["steelcut", "/", "steelcut/", "/master-key"])
@pytest.mark.usefixtures("memory")
def test_entry_that_names_nothing(entry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both halves are needed."""
    monkeypatch.setenv("AUTH_MASTER_KEY_KEYRING", entry)
    assert "must look like service/username" in mistakes()


def test_entry_that_is_no_master_key(memory: MemoryKeyring, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is checked as the variable is, and not repeated."""
    memory.set_password("steelcut", "master-key", "somebody's password")
    monkeypatch.setenv("AUTH_MASTER_KEY_KEYRING", ENTRY)
    told = mistakes()
    assert "AUTH_MASTER_KEY: must be 32 random bytes in base64" in told
    assert "somebody" not in told


@pytest.mark.usefixtures("memory")
def test_without_a_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a keyring, or with a locked one, is told apart from a missing entry."""
    monkeypatch.setenv("AUTH_MASTER_KEY_KEYRING", ENTRY)
    keyring.set_keyring(no_keyring())
    assert "cannot be used (NoKeyringError)" in mistakes()
    keyring.set_keyring(LockedKeyring())
    told = mistakes()
    assert "cannot be used (KeyringLocked)" in told
    assert "hidden words" not in told


@pytest.mark.usefixtures("memory")
def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names the extra to install; who does not ask for a keyring never needs it."""
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.setenv("AUTH_MASTER_KEY_KEYRING", ENTRY)
    assert "with the extra `keyring`" in mistakes()
    monkeypatch.delenv("AUTH_MASTER_KEY_KEYRING")
    monkeypatch.setenv("AUTH_MASTER_KEY", key := new_master_key())
    assert load(KeySettings).master_key.get_secret_value() == key


async def test_start_without_the_entry(databases: Databases) -> None:
    """A process ends with the sentence, as for every mistake in its environment."""
    code, output = await start(
        databases,
        AUTH_MASTER_KEY="",
        AUTH_MASTER_KEY_KEYRING=ENTRY,
        PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring",
    )
    assert code == 2
    assert "the keyring has no entry steelcut/master-key" in output
    assert "Traceback" not in output


def store(*arguments: str) -> int:
    """Run `steelcut keys store-master-key`; return its exit code."""
    with pytest.raises(SystemExit) as end:
        main.run(["keys", "store-master-key", *arguments])
    return int(end.value.code or 0)


def test_command_stores_the_master_key(
    memory: MemoryKeyring, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the environment into the keyring, under the entry that is named or the usual one; it is not shown."""
    key = new_master_key()
    monkeypatch.setenv("AUTH_MASTER_KEY", key)
    assert store() == 0
    assert store("production/auth") == 0
    assert store() == 0
    assert memory.passwords == {("steelcut", "master-key"): key, ("production", "auth"): key}
    told = capsys.readouterr().out
    assert MasterKey.from_base64(key).key_id in told
    assert "AUTH_MASTER_KEY_KEYRING=steelcut/master-key" in told
    assert key not in told


def test_command_overwrites_no_other_master_key(
    memory: MemoryKeyring, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every key sealed under it would be lost; who means it says so."""
    assert store("--generate") == 0
    first = memory.passwords["steelcut", "master-key"]
    assert store("--generate") == 1
    assert memory.passwords["steelcut", "master-key"] == first
    assert "holds another master key" in capsys.readouterr().err
    assert store("--generate", "--replace") == 0
    assert memory.passwords["steelcut", "master-key"] != first


def test_command_needs_a_key_and_a_keyring(
    memory: MemoryKeyring, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mistake is one sentence and exit code 2."""
    assert store() == 2
    assert "AUTH_MASTER_KEY is not set" in capsys.readouterr().err
    assert store("--generate", "nonsense") == 2
    assert "must look like service/username" in capsys.readouterr().err
    keyring.set_keyring(no_keyring())
    assert store("--generate") == 2
    assert "cannot be used" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert store("--generate") == 2
    assert "with the extra `keyring`" in capsys.readouterr().err
    assert memory.passwords == {}
