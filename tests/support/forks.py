"""Children that a test forks, to see how what it has made goes on in them."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from typing import Final

# A child that hangs is ended by a signal.
CHILD_SECONDS: Final = 10


def forked(check: Callable[[], bool]) -> int:
    """Return the exit code of a child in which ``check`` is done: 0 when it holds, negative when it hangs."""
    with warnings.catch_warnings():
        # Python 3.12 and later warn of threads that the child will not have: that is what is tested here.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(CHILD_SECONDS)
        try:
            os._exit(0 if check() else 1)
        except BaseException:  # noqa: BLE001 - nothing of the test run may go on in the child
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
