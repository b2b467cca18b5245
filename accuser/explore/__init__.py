"""Explore whole networks that are drawn from seeds, in tests of your own; see `accuser explore`.

`explore` makes a test of many networks; ``strategies`` draws schedules with Hypothesis. A `Schedule` is
plain data; `draw` makes one from a seed, and `play` runs it on nodes of the sandbox and says what was
violated. May import `_explore`.
"""

from __future__ import annotations

from .._explore.drawing import draw as draw
from .._explore.outcome import Executable as Executable
from .._explore.outcome import Outcome as Outcome
from .._explore.playing import play as play
from .._explore.printing import program as program
from .._explore.schedule import Again as Again
from .._explore.schedule import Bake as Bake
from .._explore.schedule import Cut as Cut
from .._explore.schedule import Down as Down
from .._explore.schedule import Fault as Fault
from .._explore.schedule import Halt as Halt
from .._explore.schedule import Link as Link
from .._explore.schedule import Maker as Maker
from .._explore.schedule import Pass as Pass
from .._explore.schedule import Resume as Resume
from .._explore.schedule import Schedule as Schedule
from .._explore.schedule import Start as Start
from .._explore.schedule import Step as Step
from .._explore.schedule import Stop as Stop
from .._explore.schedule import Up as Up
from .._explore.schedule import Vote as Vote
from .._explore.schedule import Watcher as Watcher
from .._explore.shrinking import shrink as shrink
from .._explore.suites import Violated as Violated
from .._explore.suites import explore as explore
