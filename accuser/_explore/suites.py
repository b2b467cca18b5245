"""Explorations in the suites of others: a test over many networks."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from .drawing import draw
from .outcome import Executable, Outcome
from .playing import play
from .printing import program
from .shrinking import shrink

F = TypeVar("F", bound=Callable[..., Any])


class Violated(AssertionError):
    """A network violates what must hold; the message has a program that shows it."""


def explore(
    *, seeds: int = 100, first: int = 0, executable: Executable | None = None
) -> Callable[[Callable[..., object]], Callable[..., None]]:
    """Turn a test into one over many networks, each drawn from a seed and played.

    The test takes an `Outcome` as ``outcome``, and whatever else pytest gives it::

        @explore(seeds=200)
        def test_evidence_is_told_once(outcome):
            for events in outcome.events.values():
                ...

    Before it is called, the accusers of the network were judged by upstream's rules.

    Args:
        seeds: how many networks.
        first: the first seed.
        executable: whose accuser; by default the sandbox's in memory.

    The test raises:
        Violated: a network violates upstream's rules. It was made small.
        Exception: whatever the test raises, with a note that tells the seed.
    """

    def decorate(test: Callable[..., object]) -> Callable[..., None]:
        if "outcome" not in inspect.signature(test).parameters:
            raise TypeError(f"{test.__name__} must take an outcome: def {test.__name__}(outcome)")
        if inspect.iscoroutinefunction(test):
            raise TypeError(f"{test.__name__} must be no coroutine function: the network was played already")

        @functools.wraps(test)
        def over_all(*args: Any, **kwargs: Any) -> None:
            for seed in range(first, first + seeds):
                outcome = play(draw(seed), executable)
                check(outcome, seed, executable)
                try:
                    test(*args, outcome=outcome, **kwargs)
                except BaseException as error:
                    error.add_note(f"with the network of seed {seed}: play(draw({seed})) gives it again")
                    raise

        signature = inspect.signature(test)
        rest = [each for name, each in signature.parameters.items() if name != "outcome"]
        over_all.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]  # read by inspect.signature
        return over_all

    return decorate


def check(outcome: Outcome, seed: int, executable: Executable | None = None) -> None:
    """Raise `Violated` if something was, with the smallest network that does it too."""
    if outcome.violations:
        small = shrink(outcome, executable)
        told = "\n".join(small.violations)
        raise Violated(f"seed {seed}: {told}\n\n{program(small, f'seed_{seed}', executable)}")
