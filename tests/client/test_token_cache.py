"""Tokens on disk: shared by short-lived programs of one user, and by nobody else."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from steelcut import TokenCache, Unreachable
from tests.client.scripted import HANG_UP, SECRET, Clock, Reply, Scripted, call, granted, opened_by


def only_file(cache: TokenCache) -> Path:
    """Return the one file that there is."""
    (file,) = cache.directory.iterdir()
    return file


@pytest.fixture
def cache(tmp_path: Path) -> TokenCache:
    """An empty cache."""
    return TokenCache(tmp_path / "tokens")


def test_next_program_has_the_token(server: Scripted, cache: TokenCache, clock: Clock) -> None:
    """Until it is time for another one."""
    server.says("/token", granted("t1", 1000, scope="read"), granted("t2", 1000))
    first = server.credentials(cache=cache, clock=clock).token()
    clock.now += 700
    assert server.credentials(cache=cache, clock=clock).token() == first
    clock.now += 200
    assert server.credentials(cache=cache, clock=clock).token().value == "t2"
    assert server.count("/token") == 2


def test_resource_that_names_its_issuer_is_asked_with_the_token_at_once(
    server: Scripted, cache: TokenCache
) -> None:
    """The next program need not be told by a challenge whom to ask."""
    resource = f"{server.url}/api"
    metadata = {"resource": resource, "authorization_servers": [server.url]}
    server.says("/.well-known/oauth-protected-resource/api", Reply(200, metadata))
    issuer = {"issuer": server.url, "token_endpoint": f"{server.url}/token"}
    server.says("/.well-known/oauth-authorization-server", Reply(200, issuer))
    server.says("/token", granted("t1"))
    server.says("/api", opened_by("t1", challenge="Bearer"))
    for _ in range(2):
        auth = server.credentials(token_url=None, resource=resource, cache=cache)
        assert call("sync", auth, ("GET", resource))[0].json() == "opened"
    assert [asked.authorization for asked in server.asked if asked.path == "/api"] == [
        None,
        "Bearer t1",
        "Bearer t1",
    ]


def test_old_token_helps_out(server: Scripted, cache: TokenCache, clock: Clock) -> None:
    """A cron job does not fail for a server that is away while its token still counts."""
    server.says("/token", granted("t1", 1000), HANG_UP)
    server.credentials(cache=cache, clock=clock).token()
    clock.now += 900
    assert server.credentials(cache=cache, clock=clock).token().value == "t1"
    clock.now += 95
    with pytest.raises(Unreachable):
        server.credentials(cache=cache, clock=clock).token()


def test_refused_token_leaves_the_disk(server: Scripted, cache: TokenCache, clock: Clock) -> None:
    """The next program is not to try it again."""
    server.says("/token", granted("t1"), granted("t2"))
    server.says("/data", opened_by("t2"))
    server.credentials(cache=cache, clock=clock).token()
    clock.now += 60
    (answer,) = call("sync", server.credentials(cache=cache, clock=clock), ("GET", f"{server.url}/data"))
    assert answer.status_code == 200
    assert json.loads(only_file(cache).read_text())["access_token"] == "t2"


def test_refused_token_is_gone_even_if_there_is_no_other(
    server: Scripted, cache: TokenCache, clock: Clock
) -> None:
    """The next program asks for one, and does not begin with what is known to be no good."""
    server.says("/token", granted("t1"), HANG_UP)
    server.says("/data", opened_by("t2"))
    server.credentials(cache=cache, clock=clock).token()
    clock.now += 60
    with pytest.raises(Unreachable):
        call("sync", server.credentials(cache=cache, clock=clock), ("GET", f"{server.url}/data"))
    assert list(cache.directory.iterdir()) == []


def test_refused_token_that_cannot_be_removed_is_not_used(
    server: Scripted, cache: TokenCache, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system that has become read-only."""
    server.says("/token", granted("t1"), granted("t2"))
    server.says("/data", opened_by("t2"))
    server.credentials(cache=cache, clock=clock).token()
    clock.now += 60

    def readonly(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", readonly)
    (answer,) = call("sync", server.credentials(cache=cache, clock=clock), ("GET", f"{server.url}/data"))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "other",
    [
        {"client_id": "joe"},
        {"scope": "write"},
        {"resource": "two"},
        {"parameters": {"audience": "x"}},
        {"token_url": "{server}/other"},
        {"token_url": None, "issuer": "{server}"},
    ],
    ids=["client", "scope", "resource", "parameters", "token url", "issuer"],
)
def test_other_requests_have_other_tokens(server: Scripted, cache: TokenCache, other: dict[str, Any]) -> None:
    """One for each server, client, resource and scope."""
    server.says("/token", granted("t1"))
    server.says("/other", granted("t2"))
    server.credentials(cache=cache).token()
    filled = {
        name: value.replace("{server}", server.url) if isinstance(value, str) else value
        for name, value in other.items()
    }
    try:
        server.credentials(cache=cache, retries=None, **filled).token()
    except Exception:  # noqa: BLE001 - the issuer has no metadata: asked it was
        assert "issuer" in other
    assert len(server.asked) > 1


def test_files_are_the_users_own_and_hold_no_secret(server: Scripted, tmp_path: Path) -> None:
    """Whatever the umask."""
    before = os.umask(0)
    try:
        cache = TokenCache(tmp_path / "new" / "tokens")
        server.says("/token", granted("t1"))
        server.credentials(cache=cache).token()
    finally:
        os.umask(before)
    file = only_file(cache)
    assert stat.S_IMODE(cache.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert SECRET not in file.read_text()
    assert "jane" not in file.name


def test_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the XDG Base Directory Specification has it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert TokenCache().directory == tmp_path / "steelcut" / "tokens"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert TokenCache().directory == tmp_path / "home" / ".cache" / "steelcut" / "tokens"


def _spoil(name: str, file: Path) -> None:
    """Make of a good file one that must not be used."""
    members = json.loads(file.read_text())
    changed: dict[str, Any] = {
        "no token": {"access_token": None},
        "two lines": {"access_token": "a\r\nX-Evil: 1"},
        "odd scope": {"scope": 7},
        "odd life": {"expires_in": "3600"},
        "endless": {"expires_in": 1e300},
        "not a number": {"expires_in": float("nan")},
        "no time": {"asked_at": None},
        "no time that is": {"asked_at": 10**400},
        "expired": {"asked_at": members["asked_at"] - 4000},
        "future": {"asked_at": members["asked_at"] + 4000},
    }
    contents = {
        "empty": b"",
        "half": file.read_bytes()[:20],
        "list": b"[]",
        "bytes": b"\xff",
        "deep": b"[" * 100_000,
    }
    if name in changed:
        file.write_text(json.dumps({**members, **changed[name]}))
    elif name in contents:
        file.write_bytes(contents[name])
    elif name == "large":
        file.write_text(json.dumps({**members, "more": " " * 300_000}))
    elif name in {"group", "others"}:
        file.chmod(0o640 if name == "group" else 0o604)
    else:
        away = file.with_name("away")
        file.rename(away)
        if name == "link":
            file.symlink_to(away)
        elif name == "folder":
            file.mkdir()
        else:
            os.mkfifo(file, 0o600)


SPOILT = [
    *(
        "no token",
        "two lines",
        "odd scope",
        "odd life",
        "endless",
        "not a number",
        "no time",
        "no time that is",
        "expired",
        "future",
    ),
    *("empty", "half", "list", "bytes", "deep", "large", "group", "others", "link", "folder", "pipe"),
]


@pytest.mark.parametrize("how", SPOILT)
def test_file_that_is_not_as_it_should_be_is_none(
    server: Scripted, cache: TokenCache, clock: Clock, how: str
) -> None:
    """Broken, too old, or open to others, who might have written it."""
    server.says("/token", granted("t1"), granted("t2"))
    server.credentials(cache=cache, clock=clock).token()
    _spoil(how, only_file(cache))
    assert server.credentials(cache=cache, clock=clock).token().value == "t2"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_file_of_another_user_is_none(server: Scripted, cache: TokenCache) -> None:
    """Who wrote it might be after our requests."""
    server.says("/token", granted("t1"), granted("t2"))
    server.credentials(cache=cache).token()
    os.chown(only_file(cache), 65534, 65534)
    assert server.credentials(cache=cache).token().value == "t2"


def _as_file(place: Path) -> None:
    place.write_text("")


def _as_open_folder(place: Path) -> None:
    place.mkdir(0o700)
    place.chmod(0o750)


def _below_a_file(place: Path) -> None:
    place.parent.rmdir()
    place.parent.write_text("")


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (_as_file, "File exists"),
        (_as_open_folder, "others can look into it: chmod 700"),
        (_below_a_file, "Not a dir"),
    ],
    ids=["file", "open folder", "below a file"],
)
def test_directory_that_cannot_be_used(tmp_path: Path, spoil: Callable[[Path], None], cause: str) -> None:
    """Told when the cache is made, with what to do."""
    place = tmp_path / "parent" / "tokens"
    place.parent.mkdir()
    spoil(place)
    with pytest.raises(ValueError, match=cause):
        TokenCache(place)


def test_disk_that_takes_no_file_costs_nothing_but_the_file(
    server: Scripted, cache: TokenCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is there, and no half of it is left behind."""
    server.says("/token", granted("t1"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert server.credentials(cache=cache).token().value == "t1"
    assert list(cache.directory.iterdir()) == []


PROGRAM = """
import sys
from steelcut import ClientCredentials, TokenCache
for _ in range(10):
    token = ClientCredentials("jane", "s", token_url=sys.argv[1], cache=TokenCache(sys.argv[2])).token()
    assert token.value.startswith("t"), token
"""


def test_processes_and_threads_share_a_cache(server: Scripted, cache: TokenCache) -> None:
    """None of them ever reads half a token."""
    server.says("/token", granted("t" * 20_000, 1))
    command = [sys.executable, "-c", PROGRAM, f"{server.url}/token", str(cache.directory)]
    with subprocess.Popen(command) as process, ThreadPoolExecutor(2) as threads:

        def work() -> set[str]:
            seen = set()
            while process.poll() is None:
                seen.add(server.credentials(cache=cache).token().value)
            return seen

        mine = [threads.submit(work) for _ in range(2)]
        assert process.wait(20) == 0
        assert [thread.result(20) for thread in mine] == [{"t" * 20_000}] * 2
    assert only_file(cache).stat().st_size > 20_000
