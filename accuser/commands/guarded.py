"""Handlers that must not end what they hear of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import attrs

from .._logs import logger

T = TypeVar("T")


@attrs.define(eq=False, repr=False)
class Guarded:
    """Makes handlers whose faults are counted, and logged once."""

    faults: int = attrs.field(default=0, init=False)
    """How often one of them failed."""

    def __call__(self, handler: Callable[[T], object]) -> Callable[[T], None]:

        def guarded(item: T) -> None:
            try:
                handler(item)
            except Exception:
                self.faults += 1
                if self.faults == 1:
                    logger.exception("what the accuser did could not be shown or counted")

        return guarded
