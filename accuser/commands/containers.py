"""Containers and networks that have lost their owner: what crashes of engines may leave."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from .._errors import RunnerError
from .._hosts.container.engine import ENGINES, Engine, is_gone
from .._text import one_line
from .findings import Finding, remedy
from .text import printable


def containers(remove: bool) -> Iterator[Finding]:
    """Tell of them, for each engine that is installed.

    Args:
        remove: remove them, too.
    """
    for name in ENGINES:
        if shutil.which(name) is None:
            continue
        engine = Engine(name)
        try:
            # Containers first: they hold their networks.
            abandoned = [("container", one) for one, label in engine.labelled() if is_gone(label)]
            abandoned += [("network", one) for one, label in engine.networks() if is_gone(label)]
            for kind, left in abandoned:
                yield _told(engine, kind, left, remove)
        except RunnerError as error:
            said = (error.detail.splitlines() or [error.reason.value])[0]
            fix = f"{error.reason.advice}; only daemons in containers need it"
            yield Finding(name, "warning", printable(said)[:160], fix)
        except OSError as error:
            fix = remedy(error, "install it again; only daemons in containers need it")
            yield Finding(name, "warning", f"cannot be executed: {error.strerror}", fix)
        else:
            if not abandoned:
                yield Finding(name, "ok", "no container and no network without its owner")


def _told(engine: Engine, kind: str, name: str, remove: bool) -> Finding:
    words = ("network", "rm", name) if kind == "network" else ("rm", "--force", "--volumes", name)
    by_hand = f"{engine.name} {' '.join(words)}"
    if remove:
        try:
            engine.ask_now(*words)
        except RunnerError as error:
            # The others may be removed all the same.
            said = printable(one_line(error.detail or error.reason.value))[:160]
            text = f"{kind} {name} has lost its owner, and cannot be removed: {said}"
            return Finding(engine.name, "warning", text, f"try it by hand: {by_hand}")
        return Finding(engine.name, "ok", f"{kind} {name} had lost its owner, and was removed")
    fix = f"accuser doctor --clear, or: {by_hand}"
    return Finding(engine.name, "warning", f"{kind} {name} has lost its owner", fix)
