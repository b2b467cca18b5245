"""Whether the tests of the accuser's algorithm notice each decision of it: ``python -m tests.tools.mutate``.

Each mutant (see ``mutants``) of a module takes its place in a fork of this process, in which its
tests are collected already, and runs them until one fails. None of it touches the files.
A mutant that no test notices survives. The exit status is 1 if one survives without a reason in
``EQUIVALENT``, or if a reason has no survivor any more.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import inspect
import mmap
import os
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Final

import attrs
import pytest

from tests.tools.equivalent import EQUIVALENT
from tests.tools.mutants import Mutant, mutants

HERE: Final = Path(__file__).parent.parent
TARGETS: Final = {
    "denunciation": ("accuser.sandbox.accuser.denunciation", "sandbox/test_denunciation_*.py"),
    "answers": ("accuser.sandbox.accuser.answers", "sandbox/test_answers.py"),
}
"""Module, and the tests that shall notice each of its decisions."""

MOST_SECONDS: Final = 10
"""Of processor time, for one mutant: one that never ends is noticed."""

_NOTICED: Final = 1


@attrs.define
class _Fields:
    """The plug-in: instead of one run of the tests, one for each mutant."""

    target: ModuleType
    all: Sequence[Mutant]
    workers: int
    survivors: list[Mutant] = attrs.Factory(list)
    sound: bool = False
    """Whether the tests pass when nothing is changed; otherwise no survivor means anything."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        session.config.option.tbstyle = "native"  # the cheapest: nobody reads it
        running: dict[int, Mutant | None] = {}
        # Which test has noticed how many mutants. The best come first: most mutants end with them.
        noticed = mmap.mmap(-1, len(session.items) or 1)
        gc.collect()
        gc.freeze()  # else each fork would copy all of this
        for mutant in [None, *self.all]:
            if len(running) >= self.workers:
                self._reap(running)
            sys.stdout.flush()
            order = sorted(range(len(session.items)), key=noticed.__getitem__, reverse=True)
            pid = os.fork()
            if pid == 0:
                os._exit(_outcome(session, order, noticed, self.target, mutant))
            running[pid] = mutant
        while running:
            self._reap(running)
        return True

    def _reap(self, running: dict[int, Mutant | None]) -> None:
        pid, status = os.wait()
        mutant = running.pop(pid)
        if status == 0 and mutant is None:
            self.sound = True
        elif status == 0 and mutant is not None:
            self.survivors.append(mutant)


def _outcome(
    session: pytest.Session,
    order: Sequence[int],
    noticed: mmap.mmap,
    target: ModuleType,
    mutant: Mutant | None,
) -> int:
    """In the fork: 0 if every test passes; else the test that fails counts it as noticed."""
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    if mutant is not None:
        try:
            _install(
                target, mutant, {item.module for item in session.items if isinstance(item, pytest.Function)}
            )
        except Exception:  # a module that cannot even be imported
            return _NOTICED
    for number in order:
        item = session.items[number]
        with suppress(Exception):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        if session.testsfailed:
            noticed[number] = min(noticed[number] + 1, 255)
            return _NOTICED
    return 0


def _install(target: ModuleType, mutant: Mutant, tests: set[ModuleType]) -> None:
    """Run the mutant in the module's namespace, and give the tests its names instead of the old ones."""
    old = dict(vars(target))
    assert target.__file__
    exec(mutant.code(target.__file__), vars(target))
    helpers = {module for name, module in sys.modules.items() if name.startswith("tests.support.")}
    for test in tests | helpers:
        for name in old.keys() & vars(test).keys():
            if vars(test)[name] is old[name]:
                setattr(test, name, getattr(target, name))


@attrs.frozen
class Outcome:
    """What became of the mutants of one target."""

    tried: Sequence[Mutant]
    survived: Sequence[Mutant]
    reasons: Mapping[str, str]
    """Why some of those tried need not be noticed."""

    @property
    def is_good(self) -> bool:
        """Whether exactly those survived that have a reason."""
        return {mutant.name for mutant in self.survived} == self.reasons.keys()

    def lines(self) -> Iterator[str]:
        """The report."""
        noticed = len(self.tried) - len(self.survived)
        yield f"{len(self.tried)} mutants, {noticed} noticed, {len(self.survived)} survived"
        for mutant in self.survived:
            yield f"  line {mutant.line:4}  {mutant.name}"
            yield f"             {self.reasons.get(mutant.name, 'NO REASON GIVEN')}"
        for stale in sorted(self.reasons.keys() - {mutant.name for mutant in self.survived}):
            yield f"  does not survive, or is not there: {stale}"


def mutate(name: str, tests: str | None = None, *, conditions: bool = False) -> Outcome:
    """Try the mutants of a target.

    Args:
        conditions: leave out the mutants that decide as before, and do or say something else.

    Raises ``RuntimeError`` if the tests fail without any change.
    """
    module, usual = TARGETS[name]
    target = importlib.import_module(module)
    source = inspect.getsource(target)
    everything = list(mutants(source))
    wanted = [each for each in everything if each.is_condition or not conditions]
    fields = _Fields(target, wanted, os.cpu_count() or 1)
    plugins = [
        word for name in ("terminal", "cacheprovider", "faulthandler") for word in ("-p", f"no:{name}")
    ]
    options = ["--noconftest", "--capture=no", "--assert=plain", "-c", os.devnull]
    files = [str(HERE / tests)] if tests else map(str, sorted(HERE.glob(usual)))
    # Ours, too, would be loaded for each failure, to explain what nobody reads.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    pytest.main(
        [*plugins, *options, "--rootdir", str(HERE.parent), *files],
        plugins=[fields],
    )
    if not fields.sound:
        raise RuntimeError(f"{tests or usual} fails without any mutation, or has no tests")
    left_out = {each.name for each in everything} - {each.name for each in wanted}
    reasons = {each: reason for each, reason in EQUIVALENT[name].items() if each not in left_out}
    return Outcome(wanted, sorted(fields.survivors, key=lambda each: (each.line, each.name)), reasons)


def main() -> int:
    """Report on the targets of the command line, or on all; the exit status."""
    parser = argparse.ArgumentParser(description="Mutate the accuser's algorithm and run its tests.")
    parser.add_argument("--only", action="append", choices=TARGETS, help="one target; may be given again")
    parser.add_argument("--tests", metavar="FILE", help="other tests: a path, from tests/ on")
    parser.add_argument("--conditions", action="store_true", help="only what is decided")
    options = parser.parse_args()
    failed = False
    for name in options.only or TARGETS:
        outcome = mutate(name, options.tests, conditions=options.conditions)
        print(f"{name}: " + "\n".join(outcome.lines()), flush=True)
        failed |= not outcome.is_good
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
