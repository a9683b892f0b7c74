"""Becomes an engine: run as a script by `child`, it gives up root and then executes the command.

A script of its own instead of Popen's `preexec_fn`: no Python code has to run in a forked copy of
the gateway, and the order of steps below, which matters, is plain to see. It imports nothing of
ours, because it starts with `-I -S`, in a few milliseconds.
"""

import ctypes
import json
import os
import sys

PR_SET_PDEATHSIG = 1
LOG_LIMIT = 5_000_000
CANNOT_LAUNCH = 127


def give_up_root(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def die_with(parent: int, signal: int) -> None:
    """Have the kernel send `signal` to this process when the thread that started it ends.

    After the change of user, which clears the setting; `exec` keeps it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit("the supervisor is gone already")


def write_output_to(log: str) -> None:
    if os.path.exists(log) and os.path.getsize(log) > LOG_LIMIT:  # noqa: PTH110, PTH202
        os.replace(log, log + ".old")  # noqa: PTH105 - pathlib would double the start-up time
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def main() -> None:
    order = json.loads(sys.argv[1])
    try:
        if order["user"] is not None:
            give_up_root(*order["user"])
        if sys.platform == "linux":
            die_with(order["parent"], order["death_signal"])
        os.umask(0o077)
        os.chdir(order["home"])
        write_output_to(order["log"])
        os.execv(order["command"][0], order["command"])
    except OSError as error:
        print(f"cannot start {order['command'][0]}: {error}", file=sys.stderr)
        sys.exit(CANNOT_LAUNCH)


main()
