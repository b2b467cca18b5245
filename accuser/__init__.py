"""Spawn accusers of the Mavryk network, and control them, in Trio's structured concurrency."""

# The rooms, in the order in which data goes through them; imports go one way only.
#
#   _process   a child in a group of its own          _pipe       the FIFO for its events
#   _guardian  who clears up when this process is gone; _guardian_main is that program
#   _decode    bytes -> Event | Malformed (pure);     _netstring  the other framing
#   _history   the log, broadcast to consumers        _watch      what a wait looks for (pure)
#   _transcript  what a session wrote; handlers       _session    one run: spawn, read, stop, drain
#   _host      what a session asks of a machine       _runner     another machine, by SSH:
#   _ssh       its connection                         _remote     a daemon there, by remote/*.sh
#   _in_process  this very process, for the sandbox   _tasks      a daemon there
#   _runner_config  the file that names it
#   _waits     expectations; _explain why they fail   _observed   waits and handlers of a handle
#   _exits     the expectation of an exit             _stats      what a process group uses
#   _supervise when it is run again (pure)
#   _daemon    the handle of one session after the other;   _options   what it takes
#   _record, _replay    recordings;   _normal, _tracks, _align, _compare   two of them (pure)
#   _spec      what differs: command line, readiness;   _node, _accuser, _baker   of these
#   _network   a chain of one's own
#   _client    one process a command                  _rpc, _http   requests, external nodes
#   _operations  consensus operations of one's own
#   _toolchain, _protocol, _parameters, _keys         what runs, and with what
#   _temp, _ports, _logs, _command, _groups, _checks, _interrupt   helpers;   _errors   a leaf
#   _public    the names that users see
#
#   events     events as classes                      scenarios  what upstream tests
#   testing    daemons that misbehave;                _player    the program that they run
#   timeline/  recordings as pages and traces
#   commands/  the command line, a room for each command
#   pytest/    the plugin for pytest
#   sandbox/   executables of our own

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._public import *  # noqa: F403
else:
    # On first use: the sandbox's programs are modules of this package too, start dozens of times
    # in a scenario, and need none of it.
    def __getattr__(name: str) -> object:
        public = importlib.import_module("accuser._public")
        if name == "__all__":
            return [public_name for public_name in vars(public) if not public_name.startswith("_")]
        if name.startswith("_") or not hasattr(public, name):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(public, name)
        return value

    def __dir__() -> list[str]:
        public = importlib.import_module("accuser._public")
        return sorted({*globals(), *(name for name in vars(public) if not name.startswith("_"))})
