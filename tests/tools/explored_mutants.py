"""Whether ``accuser explore`` finds faults of accusers: ``python -m tests.tools.explored_mutants``.

Each mutant of the accuser's decisions (see ``mutants``) plays the schedules of the seeds, in a fork,
until the judge finds something. The table says which mutants were found, and after how many seeds.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Final

import attrs

from accuser.explore import draw, play
from tests.tools.equivalent import EQUIVALENT
from tests.tools.mutants import Mutant, mutants

TARGET: Final = "accuser.sandbox.accuser.denunciation"
SEEDS: Final = 2000
_MOST_SECONDS: Final = 60.0
"""Of processor time for one schedule: what never ends is found too."""

_FEW: Final = 50
"""Seeds for mutants that are known to change nothing, which are not expected to be found."""

UNSEEN: Final[dict[str, str]] = {
    "Denunciator._clean:  for place, seen in self._consensus.items() if place[1] >= least -> "
    " for place, seen in self._consensus.items()": "who is that old is not looked up: only memory is freed",
    "Denunciator._clean: 0 -> 1 in max(0, self.highest_level - self._preserved)": (
        "nothing of level 0 is remembered"
    ),
    "Denunciator.__init__: True -> False in self, protocol: str, name: str, *, dal: bool=True, "
    "preserved_levels: int=DEFAULT_PRESER...": "the program always says which",
    "branch_offset: 0 -> -1 in max(0, level - 1)": "nothing of level 0 is denounced",
}
"""Mutants that change nothing which a node or a reader of events could tell, and why."""


@attrs.frozen
class Found:
    """How a mutant fared."""

    mutant: Mutant
    seed: int | None
    """The first seed whose schedule shows it; None if no one does."""
    words: str
    """The first complaint about it."""


def hunt(seeds: int, workers: int, only: str = "", every: int = 1) -> Iterator[Found]:
    """Try the mutants, so many at once, on that many seeds each; of them every so many-th."""
    target = importlib.import_module(TARGET)
    chosen = [each for each in mutants(inspect.getsource(target)) if each.is_condition and only in each.name][
        ::every
    ]
    running: dict[int, tuple[Mutant, int]] = {}
    for mutant in chosen:
        if len(running) >= workers:
            yield _reap(running)
        reading, writing = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            os.write(writing, _words(target, mutant, seeds).encode()[:4000])
            os._exit(0)
        os.close(writing)
        running[pid] = (mutant, reading)
    while running:
        yield _reap(running)


def _reap(running: dict[int, tuple[Mutant, int]]) -> Found:
    pid, _ = os.wait()
    mutant, reading = running.pop(pid)
    with os.fdopen(reading, "rb") as stream:
        seed, _, words = stream.read().decode("utf-8", "replace").partition(" ")
    # One that says nothing has ended this process, or was killed for its time: that is noticed.
    return Found(mutant, None if seed == "-" else int(seed or 0), words or "it ended the explorer")


def _words(target: ModuleType, mutant: Mutant, seeds: int) -> str:
    """In the fork: the seed that shows it and the complaint, or a hyphen."""
    import signal

    seed = 0
    try:
        before = dict(vars(target))
        assert target.__file__
        exec(mutant.code(target.__file__), vars(target))
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("accuser.sandbox."):
                for name in before.keys() & vars(module).keys():
                    if vars(module)[name] is before[name]:
                        setattr(module, name, vars(target)[name])
        for seed in range(min(seeds, _FEW) if is_equivalent(mutant) else seeds):
            signal.setitimer(signal.ITIMER_VIRTUAL, _MOST_SECONDS)
            outcome = play(draw(seed))
            if outcome.violations:
                return f"{seed} {outcome.violations[0]}"
    except BaseException as error:  # noqa: ASYNC103 - told to the parent
        return f"{seed} {type(error).__name__}: {error}"  # noqa: ASYNC104 - as above
    return "- "


def lines(found: Sequence[Found]) -> Iterator[str]:
    """The table, and what it comes to."""
    for each in sorted(found, key=lambda one: (one.mutant.line, one.mutant.name)):
        when = "never" if each.seed is None else f"{each.seed + 1:5}"
        yield f"{when:>5}  line {each.mutant.line:3}  {each.mutant.name}"
        reason = {**EQUIVALENT["denunciation"], **UNSEEN}.get(each.mutant.name)
        if each.seed is None and reason:
            yield f"       {reason}"
    counted = [each for each in found if not (each.seed is None and is_equivalent(each.mutant))]
    caught = [each for each in counted if each.seed is not None]
    share = f"{_share(caught, counted):.1%}"
    yield f"{len(caught)} of {len(counted)} mutants that change behaviour were found: {share}"


def is_equivalent(mutant: Mutant) -> bool:
    """Whether a mutant changes no behaviour."""
    return mutant.name in EQUIVALENT["denunciation"] or mutant.name in UNSEEN


def _share(part: Sequence[Found], whole: Sequence[Found]) -> float:
    return len(part) / len(whole) if whole else 1.0


def main() -> int:
    """Hunt, and print the table; 1 if fewer than 95 % are found."""
    parser = argparse.ArgumentParser(description="Explore with mutants of the accuser's decisions.")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="mutants whose name has this text")
    options = parser.parse_args()
    found = []
    for each in hunt(options.seeds, options.jobs, options.only):
        found.append(each)
        print(f"{len(found)}: {each.seed} {each.mutant.name}: {each.words[:80]}", file=sys.stderr, flush=True)
    print("\n".join(lines(found)))
    counted = [each for each in found if each.seed is not None or not is_equivalent(each.mutant)]
    return 0 if _share([each for each in counted if each.seed is not None], counted) >= 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
