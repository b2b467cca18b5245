"""Which media type an answer is written in, and the writing: JSON, or upstream's binary format.

As upstream's server does: of what the client accepts, the type of the highest q that the server
has; JSON where nothing is said.
"""

from __future__ import annotations

import enum
from functools import lru_cache
from typing import Any, Final

import attrs

from ..._http.server import (
    Answer,
    Feed,
    HttpFailure,
    Request,
    dump,
)
from ..._mavryk.codec.binary import frames
from ..._mavryk.codec.binary.schema import BinaryError
from ..._mavryk.codec.binary.services import Service, service


class Media(enum.Enum):
    """What a node speaks."""

    JSON = "application/json"
    BINARY = frames.MEDIA_TYPE


_READS: Final = {**{media.value: media for media in Media}, "text/json": Media.JSON}


# Programs send the same few headers with every request.
@lru_cache(maxsize=64)
def accepted(header: str | None) -> tuple[Media, ...]:
    """What a client takes of what a node speaks, what it likes best first.

    Args:
        header: the value of ``Accept``; None if there is none.
    """
    if header is None or not header.strip():
        return (Media.JSON, Media.BINARY)
    ranges = []
    for text in header.split(","):
        name, *parameters = (part.strip().lower() for part in text.split(";"))
        ranges.append((_quality(parameters), name))
    ranges.sort(key=lambda each: -each[0])
    found: dict[Media, None] = {}
    for quality, name in ranges:
        if quality > 0:
            found.update(dict.fromkeys(media for media in Media if _matches(name, media)))
    return tuple(found)


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _matches(name: str, media: Media) -> bool:
    return name in ("*/*", "application/*", media.value)


@attrs.frozen
class Voice:
    """How one request is read and answered."""

    accepts: tuple[Media, ...]
    speaks: Service | None

    @classmethod
    def of(cls, request: Request) -> Voice:
        """What the request's headers ask for.

        Raises:
            HttpFailure: 406, the RPC is not told in anything that the client takes.
        """
        speaks = service(request.method, "/".join(request.path))
        accepts = tuple(
            media
            for media in accepted(request.headers.get("accept"))
            if speaks is not None or media is Media.JSON
        )
        if not accepts:
            raise _not_acceptable(speaks)
        return cls(accepts, speaks)

    def hear(self, request: Request) -> Request:
        """The request with its body decoded, if that is binary.

        Raises:
            HttpFailure: 415, a body of another type; 400, bytes that stand for nothing.
        """
        sent = request.headers.get("content-type", Media.JSON.value).partition(";")[0].strip().lower()
        if not request.body:
            return request
        media = _READS.get(sent)
        if media is Media.JSON:
            return request
        schema = self.speaks.request if self.speaks is not None else None
        if media is None or schema is None:
            raise HttpFailure(415)
        try:
            value = frames.unframed(schema, request.body)
        except BinaryError as error:
            text = f"Failed to parse the request body: Failed to parse binary data: {error}."
            raise HttpFailure(400, text) from error
        return attrs.evolve(request, decoded=(value,))

    def say(self, value: Any) -> Answer:
        """An answer that is a value. Raises ``HttpFailure`` 406 if it has no form that is accepted."""
        for media in self.accepts:
            if media is Media.JSON:
                return Answer(200, dump(value), media.value)
            assert self.speaks is not None
            try:
                return Answer(200, frames.framed(self.speaks.answer, value), media.value)
            except BinaryError:
                # A block of another protocol, which has fields that are not described.
                continue
        raise _not_acceptable(None)

    def refuse(self, trace: list[Any]) -> Answer:
        """An answer that is an error."""
        if self.accepts[0] is Media.JSON:
            return Answer(500, dump(trace), Media.JSON.value)
        return Answer(500, frames.framed_errors(trace), Media.BINARY.value)

    def name(self, answer: Answer) -> Answer:
        """An answer without a body, which names the media type all the same."""
        return answer if answer.body else attrs.evolve(answer, content_type=self.accepts[0].value)

    def stream(self, feed: Feed) -> Feed:
        """A stream of values, whatever it holds already."""
        if self.accepts[0] is Media.BINARY:
            assert self.speaks is not None
            schema = self.speaks.answer
            feed.write_as(Media.BINARY.value, lambda item: frames.framed(schema, item))
        return feed


def _not_acceptable(speaks: Service | None) -> HttpFailure:
    served = Media if speaks is not None else (Media.JSON,)
    return HttpFailure(406, ", ".join(media.value for media in served))
