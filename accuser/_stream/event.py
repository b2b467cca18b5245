"""What the stream of events is made of: events, and pieces that are none."""

# Annotations are values here, not text: msgspec reads those of `Event` after users have taken it for a
# member of `accuser`, where their names mean nothing.
from typing import Annotated, Any, Final

import attrs
import msgspec

_NUMBER: Final = r"^-?[0-9]{1,20}(\.[0-9]{0,20})?([eE][-+]?[0-9]{1,2})?\Z"


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event of a daemon, as the sink wrote it (``fd-sink-item.v0``).

    A msgspec struct out of the garbage collector's sight: a history of many thousand containers
    that it must scan halves the throughput.
    """

    event: Any
    """The payload as decoded JSON: normally an object of one field, name to value."""
    time_stamp: float | Annotated[str, msgspec.Meta(pattern=_NUMBER)]
    """As written, a number or the text of one; `timestamp` is the number."""
    section: tuple[str, ...] = ()
    """Path of the section, as in ``("002-PtBoreas", "delegate", "denunciation")``."""
    hostname: str = ""

    @property
    def name(self) -> str:
        """Name with its version, as in ``double_baking_denounced.v0``.

        Empty for the few events that have none, whose payload is not an object of one field
        (recorded events ``30-node``: ``"event":"started"``).
        """
        event = self.event
        # The single field names the event. Its two halves are apart, since each is read very often.
        if type(event) is dict and len(event) == 1:
            for name in event:
                return str(name)
        return ""

    @property
    def value(self) -> Any:
        """The event's own data; for an event without a name, the whole payload."""
        event = self.event
        if type(event) is dict and len(event) == 1:
            for value in event.values():
                return value
        return event

    @property
    def timestamp(self) -> float:
        """Seconds since the Unix epoch, UTC."""
        return float(self.time_stamp)

    def full(self) -> dict[str, Any]:
        """The whole item as decoded JSON, in the sink's order of fields."""
        return {
            "fd-sink-item.v0": {
                "hostname": self.hostname,
                "time_stamp": self.time_stamp,
                "section": list(self.section),
                "event": self.event,
            }
        }


class Item(msgspec.Struct, gc=False, rename={"item": "fd-sink-item.v0"}):
    """What the sink writes: an event in its wrapping."""

    item: Event


# Made here, while `Event` still says that it is of this module: its annotations are looked up there.
decode_item: Final = msgspec.json.Decoder(Item).decode


@attrs.frozen
class Malformed:
    """A piece of the stream that is no event."""

    raw: bytes
    """The bytes, without the line end; an excerpt if the line was beyond the limit."""
    reason: str

    @property
    def name(self) -> None:
        """None: it is no event, not even one without a name."""
        return None


Record = Event | Malformed
