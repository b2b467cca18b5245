"""The program of a `FaultyDaemon`, which plays steps, and of a `ScriptedDaemon`, which runs a script.

Run as ``python -IS player.py steps STEPS PATH ARGUMENT...`` or with ``script SCRIPT``, so the standard
library is all that it has. The steps are ``[[verb, arguments], ...]`` in JSON; `accuser.testing` makes them
and tells what they do, and what a script may call.

The signals that it awaits stay blocked, and are taken where a step waits: so a script always gets as far
as its next wait, whenever one comes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any, Final, NoReturn

STREAMS: Final = {"stdout": 1, "stderr": 2}
STOPPED: Final = 127
"""Exit status of an accuser that SIGTERM has ended."""

BLOCKED: Final = {signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM}
CHUNK: Final = 100
"""Pieces that a flood writes at once."""


class _Player:
    """The daemon. Its methods are the verbs."""

    def __init__(self, uri: str) -> None:
        address, _, query = uri.partition("?")
        self.path = address.partition("//")[2]
        self.netstrings = "format=netstring" in query
        self.pipe = -1
        self.obeys = True
        self.asked = False

    def play(self, steps: list[tuple[str, dict[str, Any]]]) -> NoReturn:
        """Play all steps, then wait for SIGTERM."""
        for verb, arguments in steps:
            getattr(self, verb)(**arguments)
        if not self.asked:
            self.await_sigterm()
        os._exit(STOPPED)

    def open_pipe(self) -> None:
        self.pipe = os.open(self.path, os.O_WRONLY)

    def close_pipe(self) -> None:
        os.close(self.pipe)
        self.pipe = -1

    def raw(self, data: str) -> None:
        write(self.pipe, data.encode("latin-1"))

    def event(self, name: str, value: Any, cut: int | None = None) -> None:
        write(self.pipe, self.item(name, value)[:cut])

    def big_event(self, name: str, size: int) -> None:
        self.event(name, "x" * size)

    def item(self, name: str, value: Any) -> bytes:
        item = {"hostname": "h", "time_stamp": time.time(), "section": ["faulty"], "event": {name: value}}
        text = json.dumps({"fd-sink-item.v0": item}).encode()
        return netstring(text) if self.netstrings else text + b"\n"

    def ready(self, text: str, end: str) -> None:
        if self.pipe < 0:
            self.open_pipe()
        self.line(text, "stdout", end)

    def port_taken(self, address: str) -> None:
        # src/bin_node/node_run_command.ml, in the layout of its command line's library.
        text = (
            f"Another mavryk node is probably running on one of these addresses ({address}). "
            "Please choose another RPC port."
        )
        self.line(f"mavkit-node: Error:\n{' ' * 15}{text}", "stderr", "\n")
        self.exit_with(1)

    def line(self, text: str, stream: str, end: str) -> None:
        write(STREAMS[stream], (text + end).encode())

    def flood(self, what: str, count: int | None) -> None:
        piece = self.item("flood.v0", 0) if what == "events" else b"words without end\n"
        to = self.pipe if what == "events" else STREAMS[what]
        written = 0
        while written < count if count is not None else not self.sigterm_pends():
            amount = CHUNK if count is None else min(CHUNK, count - written)
            write(to, piece * amount)
            written += amount

    def await_go(self) -> None:
        self.await_signal(signal.SIGUSR1)

    def delay(self, seconds: float) -> None:
        if seconds > 0:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            self.await_signal(signal.SIGALRM)

    def await_signal(self, signum: signal.Signals) -> None:
        awaited = {signum, signal.SIGTERM} if self.obeys else {signum}
        if signal.sigwait(awaited) != signum:
            os._exit(STOPPED)

    def await_sigterm(self) -> None:
        while not self.obeys:
            signal.pause()
        signal.sigwait({signal.SIGTERM})
        self.asked = True

    def ignore_sigterm(self) -> None:
        self.obeys = False
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def sigterm_pends(self) -> bool:
        return signal.SIGTERM in signal.sigpending()

    def fork(self, holds: list[str], daemonise: bool) -> None:
        child = os.fork()
        if child == 0:
            if daemonise:
                os.setsid()
            null = os.open(os.devnull, os.O_WRONLY)
            for name, descriptor in (*STREAMS.items(), ("pipe", self.pipe)):
                if name not in holds and descriptor >= 0:
                    os.dup2(null, descriptor)
            # The session holds the other end: when it has ended, so does this process.
            os.read(0, 1)
            os._exit(0)
        self.line(f"forked {child}", "stdout", "\n")

    def stop_itself(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def exit_with(self, status: int) -> None:
        os._exit(status)

    def die_by(self, signum: int) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signum})
        os.kill(os.getpid(), signum)


def netstring(data: bytes) -> bytes:
    """Frame an item by its length."""
    return b"%d:%s," % (len(data), data)


def write(descriptor: int, data: bytes) -> None:
    """Write all of it, however long that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class _Script:
    """What a script may call, beside modules: its public methods, and ``READY``."""

    def __init__(self, player: _Player, ready_line: str) -> None:
        self._player = player
        self._ready_line = ready_line
        self._names: dict[str, Any] = {
            "__name__": "__main__",
            "READY": ready_line,
            **{module.__name__: module for module in (json, os, signal, sys, time)},
            **{name: getattr(self, name) for name in dir(self) if not name.startswith("_")},
        }

    def open_pipe(self) -> None:
        self._player.open_pipe()
        self._names["PIPE"] = self._player.pipe

    def raw(self, data: bytes) -> None:
        write(self._player.pipe, data)

    def item(self, name: str, value: str = "{}") -> bytes:
        head = '{"fd-sink-item.v0":{"hostname":"h","time_stamp":1.5,"section":["s"],"event":'
        return f'{head}{{"{name}":{value}}}}}}}\n'.encode()

    def event(self, name: str, value: str = "{}") -> None:
        data = self.item(name, value)
        self.raw(netstring(data.rstrip()) if self._player.netstrings else data)

    def line(self, text: str, stream: int = 1) -> None:
        write(stream, text.encode() + b"\n")

    def ready(self) -> None:
        self.open_pipe()
        self.line(self._ready_line)

    def until_term(self, status: int = STOPPED) -> int:
        signal.sigwait([signal.SIGTERM])
        return status

    def _run(self, script: str, path: str) -> None:
        exec(compile(script, path, "exec"), self._names)


def main(kind: str, what: str, ready_line: str) -> None:
    """Play steps, or run a script; the rest of the command line is that of the daemon."""
    player = _Player(os.environ.get("MAVRYK_EVENTS_CONFIG", ""))
    if kind == "steps":
        signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
        player.play(json.loads(what))
    # Taken by until_term alone, so that a script always gets as far as that.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    _Script(player, ready_line)._run(what, sys.argv[0])


if __name__ == "__main__":
    _words: list[str] = sys.argv[1:4]
    del sys.argv[:4]
    main(*_words)
