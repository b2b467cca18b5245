"""Containers that have lost their owner: what an engine's own crash, or docker's delay, may leave."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from .._errors import RunnerError
from .._hosts.container.engine import ENGINES, Engine, is_gone
from .findings import Finding
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
            abandoned = [container for container, label in engine.labelled() if is_gone(label)]
            for container in abandoned:
                yield _told(engine, container, remove)
        except RunnerError as error:
            said = (error.detail.splitlines() or [error.reason.value])[0]
            fix = f"{error.reason.advice}; only daemons in containers need it"
            yield Finding(name, "warning", printable(said)[:160], fix)
        else:
            if not abandoned:
                yield Finding(name, "ok", "no container without its owner")


def _told(engine: Engine, container: str, remove: bool) -> Finding:
    words = ("rm", "--force", "--volumes", container)
    if remove:
        engine.ask_now(*words)
        return Finding(engine.name, "ok", f"container {container} had lost its owner, and was removed")
    fix = f"accuser doctor --remove, or: {engine.name} {' '.join(words)}"
    return Finding(engine.name, "warning", f"container {container} has lost its owner", fix)
