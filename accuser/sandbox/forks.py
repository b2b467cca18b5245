"""Forks the sandbox's programs for one owner, which waits for their imports only once.

Started by path: ``python -P PATH DESCRIPTOR PADDING``. The descriptor is a socket; each message on it asks
for one program, and brings six descriptors: a file with what it is to find, as JSON, a control socket, its
working directory, its standard input, output and error.

Invariants:
1. This process has one thread and runs no program itself: what it forks has no loop, thread, lock or
   connection of somebody else's.
2. A program is a child of the owner, not of this process: it is cloned with the parent of this one. So
   this process may die at any moment, and no program is concerned.
3. A program tells its id on its control socket, and waits there to be told to go on. If it is told
   otherwise, or the socket ends, nobody knows of the program, and it ends too.
4. What fails before the program runs is told on the control socket, as an error number.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import errno
import gc
import importlib
import json
import os
import random
import resource
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

if not __package__:
    # Started by its path: the package must be the one that this file belongs to.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from accuser.sandbox.__main__ import main as run
from accuser.sandbox.programs import MODULES

PYTHONS_OWN: Final[set[int]] = {signal.SIGPIPE, getattr(signal, "SIGXFSZ", signal.SIGPIPE)}
"""Signals that Python itself ignores, in whatever process."""

REQUEST: Final = b"fork"
REPLY: Final = struct.Struct("ii")
"""The id of the process that was made, or 0; an error number, or 0: with both, that process ends."""

GO: Final = b"g"
STOP: Final = b"s"
DESCRIPTORS: Final = 6
TITLE: Final = "accuser: forks the sandbox's programs"

CLONE_CHILD_CLEARTID: Final = 0x00200000
CLONE_CHILD_SETTID: Final = 0x01000000
CLONE_PARENT: Final = 0x00008000
_CLONE: Final = {"x86_64": 56, "aarch64": 220, "riscv64": 220}
"""Numbers of the system call, by ``uname -m``; its arguments are in different orders, see `_clone`."""

PR_SET_NAME: Final = 15

# With the interpreter's lock held, as `os.fork` holds it.
_libc: Final = ctypes.PyDLL(None, use_errno=True)


def main(descriptor: int, program: Callable[[], int] = run, title: str = TITLE) -> None:
    """Serve until the owner closes its end of the socket, or is gone.

    Args:
        descriptor: of the socket.
        program: what each fork runs, with its ``sys.argv``; returns the exit status.
        title: that ``ps`` shows of this process.
    """
    _retitle((title,))
    requests = socket.socket(fileno=descriptor)
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, len(REQUEST), DESCRIPTORS)
        if not message:
            return
        become = _forked(requests, descriptors, program)
        if become is not None:
            become()
        for each in descriptors:
            os.close(each)


def _forked(
    requests: socket.socket, descriptors: list[int], program: Callable[[], int]
) -> Callable[[], NoReturn] | None:
    """Fork; give what the new process is to do, and nothing in this one."""
    control = socket.socket(fileno=os.dup(descriptors[1]))
    try:
        with open(descriptors[0], encoding="ascii", closefd=False) as file:
            wanted = json.load(file)
        wanted["words"] = [received(word) for word in wanted["words"]]
        _load(*wanted["words"][1:2])
        if _clone() == 0:
            requests.close()
            return lambda: _become(program, wanted, descriptors, control)
    except OSError as error:
        _answer(control, 0, error.errno or errno.EIO)
    control.close()
    return None


def _load(program: str = "") -> None:
    """Import what the program of this name needs, unless one has needed it before."""
    module = MODULES.get(Path(program).name)
    if module is not None and f"accuser.sandbox.{module}" not in sys.modules:
        try:
            importlib.import_module(f"accuser.sandbox.{module}")
        except OSError as error:
            # No fault of a fork: as any that an import has, it ends this process.
            raise ImportError(str(error)) from error
        gc.collect()
        gc.freeze()  # else the first collection of each program would copy all of this


def _clone() -> int:
    """Fork a sibling. Raises `OSError`."""
    machine = os.uname().machine
    if machine not in _CLONE:
        raise OSError(errno.ENOSYS, f"the number of clone on {machine} is not known")
    flags, place = CLONE_PARENT | signal.SIGCHLD, _place_of_thread_id()
    if place:
        # The C library remembers the id of the thread, and would be wrong about it in the child.
        flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID
    last = (place, 0) if machine == "x86_64" else (0, place)
    arguments = (_CLONE[machine], flags, 0, 0, *last)
    ctypes.pythonapi.PyOS_BeforeFork()
    pid: int = _libc.syscall(*map(ctypes.c_long, arguments))
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    problem = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(problem, os.strerror(problem))
    return pid


def _place_of_thread_id() -> int:
    """Where the C library keeps the id of this thread, in its descriptor; 0 if that is not found."""
    _libc.pthread_self.restype = ctypes.c_ulong
    begin = _libc.pthread_self()
    words = (ctypes.c_int * 256).from_address(begin)
    found = [index for index, word in enumerate(words) if word == threading.get_native_id()]
    return begin + 4 * found[0] if len(found) == 1 else 0


def sent(text: str) -> str:
    """What is sent of a word or variable: its bytes, since the other side's encoding may be another one."""
    return os.fsencode(text).decode("latin-1")


def received(text: str) -> str:
    """The word or variable, from what was sent of it."""
    return os.fsdecode(text.encode("latin-1"))


def _answer(control: socket.socket, pid: int, problem: int) -> None:
    with contextlib.suppress(OSError):
        control.send(REPLY.pack(pid, problem))


def _become(
    program: Callable[[], int], wanted: dict[str, Any], descriptors: list[int], control: socket.socket
) -> NoReturn:
    """Become the program that is wanted, as if it had been executed."""
    try:
        _take_over(wanted, descriptors)
    except Exception as error:
        # A limit that may not be raised, for one, is a ValueError; such is for another server, or execution.
        _answer(control, os.getpid(), getattr(error, "errno", None) or errno.EIO)
        os._exit(1)
    _answer(control, os.getpid(), 0)
    if control.recv(1) != GO:
        os._exit(1)
    control.close()
    sys.argv = wanted["words"]
    os._exit(_finished(program))


def _take_over(wanted: dict[str, Any], descriptors: list[int]) -> None:
    os.setpgid(0, 0)
    for number, descriptor in enumerate(descriptors[3:]):
        os.dup2(descriptor, number)
    os.fchdir(descriptors[2])
    for descriptor in descriptors:
        os.close(descriptor)
    os.umask(wanted["umask"])
    for name, limits in wanted["limits"].items():
        if tuple(limits) != resource.getrlimit(int(name)):
            resource.setrlimit(int(name), tuple(limits))
    for number in signal.valid_signals() - PYTHONS_OWN:
        if number in wanted["ignored"]:
            signal.signal(number, signal.SIG_IGN)
        elif signal.getsignal(number) is signal.SIG_IGN:
            # It was when the server was started, which inherited that.
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)
    signal.pthread_sigmask(signal.SIG_SETMASK, wanted["blocked"])
    os.environ.clear()
    for variable, value in wanted["environment"].items():
        os.environ[received(variable)] = received(value)
    random.seed()
    # The order in which trio runs tasks is drawn, too, so that nobody relies on one.
    if (order := getattr(sys.modules.get("trio._core._run"), "_r", None)) is not None:
        order.seed()
    _retitle(tuple(wanted["words"][1:]))


def _finished(program: Callable[[], int]) -> int:
    """Run a program to its end as the interpreter does; give its exit status."""
    try:
        status = program()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        status = 128 + signal.SIGINT
    except BaseException:  # noqa: ASYNC103 - the program has ended, and this process ends with it
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]  # no public name for it
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return status & 0xFF


def _retitle(words: tuple[str, ...]) -> None:
    """Change what ``ps`` shows: the name, and the command line where the padding leaves room."""
    name = os.fsencode(Path(words[0]).name)[:15]
    _libc.prctl(PR_SET_NAME, ctypes.c_char_p(name), 0, 0, 0)
    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return
    begin, end = int(fields[45]), int(fields[46])  # arg_start, arg_end: proc_pid_stat(5)
    if size := end - begin:
        title = b"".join(os.fsencode(word) + b"\0" for word in words)[: size - 1]
        ctypes.memmove(begin, title.ljust(size, b"\0"), size)


if __name__ == "__main__":
    main(int(sys.argv[1]))
