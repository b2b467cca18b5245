"""The base of typed events: what each class says about its event, and how it is structured."""

from __future__ import annotations

from typing import ClassVar, Final, Self

from .._errors import AccuserError, UnexpectedValue
from .._mavryk.protocol import Protocol
from .._stream.event import Event
from .structuring import problems, structure

PLACE: Final = "{protocol}"
"""Stands for the protocol's long name in names and sections."""


class TypedEvent:
    """Base of the classes; `find` gives the one of a name."""

    __slots__ = ()

    NAME: ClassVar[str] = ""
    """The event's name with its version; ``{protocol}`` stands for the protocol's long name."""
    SECTION: ClassVar[tuple[str, ...]] = ()
    """Path of its section, with the same place holder."""
    LEVEL: ClassVar[str] = "info"
    """``debug``, ``info``, ``notice`` or ``error``."""
    KIND: ClassVar[str] = "any"
    """Who emits it: ``accuser``, ``node`` or ``any``."""
    BARE: ClassVar[str | None] = None
    """The field that the event's value is, where it is no object of fields."""

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        section: tuple[str, ...] | None = None,
        level: str | None = None,
        kind: str | None = None,
        bare: str | None = None,
    ) -> None:
        # What is not given is inherited; attrs makes each class anew, and gives nothing.
        cls.NAME = cls.NAME if name is None else name
        cls.SECTION = cls.SECTION if section is None else section
        cls.LEVEL = cls.LEVEL if level is None else level
        cls.KIND = cls.KIND if kind is None else kind
        cls.BARE = cls.BARE if bare is None else bare

    @classmethod
    def event_name(cls, protocol: Protocol | None) -> str:
        """Give the name as daemons of ``protocol`` write it.

        Raises:
            AccuserError: the name has the protocol in it, and None was given.
        """
        if PLACE not in cls.NAME:
            return cls.NAME
        if protocol is None:
            raise AccuserError(
                f"the name of {cls.__name__} has a protocol in it, and no protocol is known here"
            )
        return cls.NAME.replace(PLACE, protocol.long_name)

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """Structure the value of an event.

        Raises:
            UnexpectedValue: it does not fit; the error says at which paths, and why.
        """
        value = event.value
        try:
            return structure({cls.BARE: value} if cls.BARE else value, cls)
        except Exception as error:
            raise UnexpectedValue(event.name, problems(error, cls.BARE)) from error
