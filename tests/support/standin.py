"""Scripted daemons: small real processes that do exactly what a test needs."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Unpack

from accuser import Accuser, Protocol, open_accuser
from accuser._daemons.accuser import AccuserOptions
from accuser.testing import NO_NODE

PRELUDE = """\
#!{python} -IS
import os, signal, sys, time

# Taken by until_term alone, so that a script always gets as far as that.
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

PATH = os.environ["MAVRYK_EVENTS_CONFIG"].split("//", 1)[1].split("?")[0]
READY = "Waiting for protocol 002-PtBoreas to start..."

def opened():
    global PIPE
    PIPE = os.open(PATH, os.O_WRONLY)

def raw(data):
    view = memoryview(data)
    while view:
        view = view[os.write(PIPE, view):]

def item(name, value="{{}}"):
    head = '{{"fd-sink-item.v0":{{"hostname":"h","time_stamp":1.5,"section":["s"],"event":'
    return (head + '{{"%s":%s}}}}}}\\n' % (name, value)).encode()

def event(name, value="{{}}"):
    raw(item(name, value))

def line(text, stream=1):
    os.write(stream, text.encode() + b"\\n")

def ready():
    opened()
    line(READY)

def until_term(status=127):
    signal.sigwait([signal.SIGTERM])
    return status

"""


def write_standin(folder: Path, body: str, name: str = "mavkit-accuser-PtBoreas") -> Path:
    """Write an executable that runs ``body`` after the prelude above."""
    path = folder / name
    path.write_text(PRELUDE.format(python=sys.executable) + textwrap.dedent(body))
    path.chmod(0o755)
    return path


NODE = NO_NODE

FOLLOWS_SIGTERM = """
ready()
event("started.v0")
sys.exit(until_term())
"""


@asynccontextmanager
async def open_standin(
    folder: Path, body: str, *, may_exit: bool = False, **options: Unpack[AccuserOptions]
) -> AsyncIterator[Accuser]:
    """Run a stand-in as an accuser for the length of a block."""
    options["path"] = write_standin(folder, body)
    options.setdefault("unknown_events", True)
    async with open_accuser(Protocol.BOREAS, NODE, may_exit=may_exit, **options) as accuser:
        yield accuser
