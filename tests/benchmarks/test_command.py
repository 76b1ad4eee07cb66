"""What the command line of the benchmarks takes."""

from __future__ import annotations

import sys

import pytest

from benchmarks.__main__ import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "token,tokens"], "'tokens' is none of token, token-numbered, token-of-many, document"),
        (["--pairs", "0"], "'0' is not a whole number from 1 on"),
        (["--seconds", "1.5"], "'1.5' is not a whole number from 1 on"),
    ],
    ids=["unknown-name", "no-pair", "half-a-second"],
)
def test_a_mistake_is_named(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is started; the exit status is that of a command that was not understood."""
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err
