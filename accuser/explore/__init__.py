"""Looks for what can go wrong: whole networks drawn from seeds, each accuser of which is judged.

A `Schedule` is plain data; `draw` makes one from a seed, and `play` runs it on nodes of the sandbox
and says what was violated. `explore` makes a test of many networks; ``strategies`` draws schedules
with Hypothesis. May import the public names of ``accuser``, and the sandbox, whose nodes and chain it
plays with.
"""

from __future__ import annotations

from .drawing import draw as draw
from .playing import Executable as Executable
from .playing import Outcome as Outcome
from .playing import play as play
from .printing import program as program
from .schedule import Schedule as Schedule
from .schedule import Step as Step
from .schedule import Watcher as Watcher
from .shrinking import shrink as shrink
from .suites import Violated as Violated
from .suites import explore as explore
