"""What ``accuser run`` shows: lines of what happens, and on a terminal a panel below them."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from typing import Final

import attrs
import trio
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from .._daemons.accuser import Accuser
from .._engine.supervise import Restart
from .._errors import NotRunning, StatsUnavailable
from .._hosts.usage import Stats
from .._stream.event import Event
from ..events import CLASSES, DaemonStart
from .guarded import Guarded
from .output import Output
from .tally import DENOUNCED, Tally
from .text import compact, duration, printable

REFRESH: Final = 1.0
"""Seconds between two looks at the processes for the panel."""

VALUE: Final = 160
"""Characters of an event's value that a line shows."""

_TROUBLE: Final = frozenset(cls.NAME for cls in CLASSES if cls.LEVEL == "error")


class _Lines(logging.Handler):
    """Has log lines said."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).split("\n"):
            self._view.say(line, "red")


@attrs.define(eq=False, repr=False)
class View:
    """Tells what an accuser does, as it happens."""

    accuser: Accuser
    tally: Tally
    live: bool
    """Whether there is a panel; it needs a terminal."""
    verbose: bool
    """Whether every event has a line, and every line that the accuser prints."""
    who: str = attrs.field(default="", kw_only=True)
    """Begins lines that would not say which accuser it is, where there are several."""
    beside: View | None = None
    """The view of another accuser in the same process, whose output this one shares."""
    guarded: Guarded = attrs.field(init=False)
    output: Output = attrs.field(init=False)
    console: Console = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        if self.beside is not None:
            self.guarded, self.output, self.console = (
                self.beside.guarded,
                self.beside.output,
                self.beside.console,
            )
            return
        self.guarded, self.output = Guarded(), Output(sys.stdout)
        self.console = Console(file=self.output, highlight=False, soft_wrap=True)  # type: ignore[arg-type]  # as much of a file as rich needs

    def listen(self) -> None:
        """Hear of everything that the accuser does from now on."""
        accuser, guarded = self.accuser, self.guarded
        accuser.on_event(guarded(self._event))
        accuser.on_stdout(guarded(lambda line: self.say(f"{accuser.name}: {line}")))
        if self.verbose:
            accuser.on_stderr(guarded(lambda line: self.say(f"{accuser.name}: {line}", "dim")))
        accuser.on_restart(guarded(self._restart))
        accuser.on_malformed(
            guarded(
                lambda piece: self.say(f"malformed event: {piece.reason}: {piece.raw[:VALUE]!r}", "yellow")
            )
        )
        if self.beside is not None:
            return
        # The lines above say the same, and where they belong.
        logger = logging.getLogger("accuser")
        logger.setLevel(logging.ERROR)
        # In place of standard error, which may be as little read as standard output.
        logger.addHandler(_Lines(self))

    def say(self, text: str, style: str = "") -> None:
        """Print a line, with the time, above the panel if there is one."""
        now = time.strftime("%H:%M:%S" if self.live else "%Y-%m-%d %H:%M:%S")
        self.console.print(Text.assemble((f"{now}  ", "dim"), (printable(text), style)))

    def finish(self, text: str) -> None:
        """Print the last line, and give the output a while to take what is left."""
        self.say(text)
        self.output.settle()

    def _event(self, event: Event) -> None:
        name, value = event.name, compact(event.value, VALUE)
        if kind := DENOUNCED.get(name):
            what = event.value.get("hash") if isinstance(event.value, dict) else value
            self.say(f"{self.who}denounced a {kind.replace('_', ' ')}: {what}", "bold green")
        elif name in _TROUBLE:
            self.say(f"{self.who}{name} {value}", "red")
        elif name == DaemonStart.NAME:
            self.say(f"{self.accuser.name} watches the chain", "green")
        elif self.verbose:
            self.say(f"{self.who}{name} {value}", "dim")

    def _restart(self, restart: Restart) -> None:
        if restart.status is None:
            how = f"is down: {restart.reason}"
        else:
            how = f"ended unasked (status {restart.status}{f': {restart.reason}' if restart.reason else ''})"
        text = f"{self.accuser.name} {how}; restart {restart.attempt} in {restart.delay:.3g} s"
        self.say(text, "yellow")
        for line in restart.tail[-3:]:
            self.say(f"  {line}", "dim")

    async def look(self) -> Panel:
        """The panel of this moment."""
        try:
            stats = await self.accuser.stats()
        except (NotRunning, StatsUnavailable):
            stats = None
        return self._panel(stats)

    def _panel(self, stats: Stats | None) -> Panel:
        accuser, tally = self.accuser, self.tally
        state = "ready" if accuser.ready else accuser.state
        denounced = ", ".join(f"{kind.replace('_', ' ')} {n}" for kind, n in tally.denunciations.items() if n)
        uptime = memory = "-"
        if stats is not None:
            uptime = duration(stats.uptime)
            memory = f"{stats.resident_bytes / 2**20:.1f} MiB, {stats.open_descriptors} descriptors"
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim")
        for label, text, style in (
            ("state", f"{state}, process {accuser.pid or '-'}", "green" if accuser.ready else "yellow"),
            ("level", str(tally.level or "-"), ""),
            ("blocks", f"{tally.blocks} processed", ""),
            ("events", str(tally.events.total()), ""),
            ("denunciations", denounced or "none", "bold green" if denounced else ""),
            ("restarts", str(accuser.restarts), ""),
            ("uptime", uptime, ""),
            ("memory", memory, ""),
        ):
            table.add_row(label, Text(text, style))
        title = f"{accuser.name}, {accuser.node.rpc_endpoint}"
        return Panel(table, title=Text(title), title_align="left", expand=False)


async def refresh(views: Sequence[View]) -> None:
    """Keep the panels up to date until cancelled; return at once if there are none."""
    if not views[0].live:
        return
    with Live(Group(), console=views[0].console, auto_refresh=False) as live:
        while True:
            live.update(Group(*[await view.look() for view in views]), refresh=True)
            await trio.sleep(REFRESH)
