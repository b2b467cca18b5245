"""Faults in the event pipe, from a real process through a real FIFO to everybody who listens."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

import pytest
import trio

from accuser import Event, Malformed, MalformedEvent
from accuser._daemons.accuser import AccuserOptions
from accuser._daemons.options import EventFormat
from accuser.testing import ScriptedDaemon
from tests.support.kept import remove_kept


async def heard(
    folder: Path, body: str, events: int, **options: Unpack[AccuserOptions]
) -> tuple[list[Event], list[Malformed]]:
    """What a stand-in's events are to a wait, a subscriber and a handler, and its malformed pieces.

    The script writes in two halves: before it is awaited, and after SIGTERM. ``events`` come in all.
    """
    handled: list[Event] = []
    malformed: list[Malformed] = []
    with trio.fail_after(60):
        async with ScriptedDaemon(body).open(folder=folder, **options) as accuser:
            start = accuser.start_mark()
            accuser.on_event(handled.append)
            accuser.on_malformed(malformed.append)
            async with accuser.subscribe(since=start) as subscription:
                named = accuser.expect("x.v0", since=start, count=events)
                await accuser.wait_for("half.v0", since=start)
                await accuser.terminate()
                values = await named
                subscribed = [event async for event in subscription]
    by_name = [event for event in subscribed if event.name == "x.v0"]
    assert values == [event.value for event in by_name]
    # A handler hears what comes after it was added: the same, from some event on.
    assert handled == subscribed[len(subscribed) - len(handled) :]
    assert handled
    return subscribed, malformed


HALF = """
event("half.v0")
until_term()
"""
END = """
event("x.v0", '"end"')
os._exit(127)
"""


def values(found: list[Event]) -> list[Any]:
    return [event.value for event in found if event.name == "x.v0"]


async def test_items_survive_every_kind_of_garbage(tmp_path: Path) -> None:
    garbage = [
        b"garbage",
        b"\0\0\0",
        b"\xff\xfe",
        b"null",
        b"[1, 2]",
        b'{"other":1}',
        b'{"fd-sink-item.v0":{"event":{"x.v0":1}}}',
        b'{"fd-sink-item.v0":{"hostname":"h","time_stamp":1.5,"section":["s"],"event":{"x.v0":nan}}}',
        b'{"fd-sink-item.v0":{"hostname":"h","time_stamp":1.5,"section":["s"],"event":{"x.v0":-inf}}}',
        b'{"fd-sink-item.v0":{"hostname":"h","time_stamp":"soon","section":["s"],"event":{"x.v0":1}}}',
        b'{"fd-sink-item.v0":{"hostname":"\xff","time_stamp":1.5,"section":["s"],"event":{"x.v0":1}}}',
        b"[" * 100_000,
    ]
    body = f"ready()\n{HALF}for number, piece in enumerate({garbage!r}):" + (
        "\n    event('x.v0', str(number))\n    raw(piece + b'\\n')" + END
    )
    found, malformed = await heard(tmp_path, body, len(garbage) + 1)
    assert values(found) == [*range(len(garbage)), "end"]
    assert [piece.raw for piece in malformed] == garbage
    assert all(piece.reason for piece in malformed)


async def test_items_in_unusual_dress_arrive(tmp_path: Path) -> None:
    body = f"""
ready()
{HALF}
raw(item("x.v0", "0").rstrip() + b"\\r\\n\\r\\n\\n \\t\\n")
raw(item("x.v0", '{{"invalid_utf8_string":[255,32]}}'))
raw(item("x.v0", "1").replace(b'["s"]', b"[]"))
raw(item("x.v0", "2").replace(b"1.5", b'"1.5"'))
raw(item("x.v0", "3").replace(b'{{"x.v0":3}}', b'"started"'))
raw(item("x.v0", "3").replace(b'{{"x.v0":3}}', b'{{"attempt":1,"of":2}}'))
raw(item("x.v0", "4").rstrip() + item("x.v0", "5"))
raw(item("x.v0", '"aborted"')[:70] + item("x.v0", "6"))
raw(item("x.v0", '"aborted"')[70:].rstrip() + item("x.v0", "7"))
raw(item("x.v0", "8").rstrip())
os._exit(127)
"""
    found, malformed = await heard(tmp_path, body, 9)
    assert values(found) == [0, {"invalid_utf8_string": [255, 32]}, 1, 2, 4, 5, 6, 7, 8]
    assert [event.value for event in found if not event.name] == ["started", {"attempt": 1, "of": 2}]
    assert len(malformed) == 2


async def test_an_item_in_single_bytes(tmp_path: Path) -> None:
    body = f"""
ready()
{HALF}
for byte in item("x.v0", "0") + item("x.v0", "1"):
    raw(bytes([byte]))
{END}"""
    found, malformed = await heard(tmp_path, body, 3)
    assert (values(found), malformed) == ([0, 1, "end"], [])


async def test_an_item_of_ten_megabytes(tmp_path: Path) -> None:
    body = f"""
ready()
{HALF}
event("x.v0", '"%s"' % ("v" * 10_000_000))
{END}"""
    found, malformed = await heard(tmp_path, body, 2)
    assert [len(value) for value in values(found)] == [10_000_000, 3]
    assert malformed == []


async def test_thousands_of_items_in_one_write(tmp_path: Path) -> None:
    body = f"""
ready()
{HALF}
raw(b"".join(item("x.v0", str(number)) for number in range(5000)))
{END}"""
    found, malformed = await heard(tmp_path, body, 5001)
    assert (values(found), malformed) == ([*range(5000), "end"], [])


@pytest.mark.parametrize("signum", ["SIGKILL", "SIGABRT"])
async def test_a_daemon_that_dies_inside_an_item(tmp_path: Path, signum: str) -> None:
    body = f"""
ready()
{HALF}
event("x.v0", "0")
event("x.v0", "1")
raw(item("x.v0", '"%s"' % ("v" * 20_000))[:-10])
os.kill(os.getpid(), signal.{signum})
"""
    found, malformed = await heard(tmp_path, body, 2)
    assert values(found) == [0, 1]
    assert [piece.reason for piece in malformed] == ["cut off: it ends inside of a JSON text"]


TWO_WRITERS = """
open_pipe()
child = os.fork()
letter = "b" if child else "a"
if child:
    line(READY)
    event("half.v0")
    until_term()
    os.kill(child, signal.SIGTERM)
else:
    until_term()
for number in range({count}):
    text = item("x.v0", '"%s"' % (letter * ({size} + number)))
    raw(text)
    {then}
if child:
    os.waitpid(child, 0)
os._exit(127)
"""


async def test_two_processes_whose_lines_are_short(tmp_path: Path) -> None:
    body = TWO_WRITERS.format(count=100, size=3000, then="")
    found, malformed = await heard(tmp_path, body, 200)
    assert malformed == []
    for letter in "ab":
        sizes = [len(value) for value in values(found) if set(value) == {letter}]
        assert sizes == list(range(3000, 3100))


NETSTRINGS = """
def raw(data, write=raw):
    for text in data.splitlines():
        write(b"%d:%s," % (len(text), text))
"""


async def test_netstrings(tmp_path: Path) -> None:
    body = f"""
ready()
{HALF}
event("x.v0", "0")
os.write(PIPE, b"12:garbage,999")
event("x.v0", "1")
os.write(PIPE, b"1000:" + item("x.v0", "2").rstrip())
event("x.v0", "3")
os.write(PIPE, item("x.v0", "4"))
event("x.v0", '"%s"' % ("v" * 10_000_000))
{END}"""
    found, malformed = await heard(tmp_path, body, 5, format="netstring")
    assert values(found) == [0, 1, 3, "v" * 10_000_000, "end"]
    assert [piece.raw[:14] for piece in malformed] == [
        b"12:garbage,999",
        b'1000:{"fd-sink',
        b'{"fd-sink-item',
    ]


@pytest.mark.parametrize("format_", ["one-per-line", "netstring"])
async def test_two_processes_whose_long_items_mix(tmp_path: Path, format_: EventFormat) -> None:
    """What is written at once (``PIPE_BUF``, 4096 bytes) is torn by nobody, whatever it is glued to."""
    body = TWO_WRITERS.format(count=30, size=50_000, then="event('x.v0', '\"%s\"' % (letter * 10))")
    if format_ == "netstring":
        body = NETSTRINGS + body
    with trio.fail_after(60):
        async with ScriptedDaemon(body).open(folder=tmp_path, format=format_) as accuser:
            await accuser.terminate()
            async with accuser.subscribe(since=accuser.start_mark()) as subscription:
                found = [event async for event in subscription]
    for letter in "ab":
        assert [value for value in values(found) if value == letter * 10] == [letter * 10] * 30
    whole = [value for value in values(found) if len(value) != 10]
    intact = len(whole) == 60 and all(len(set(value)) == 1 for value in whole)
    assert intact or accuser.malformed > 0


async def test_strict_ends_the_block_with_the_first_malformed_piece(tmp_path: Path) -> None:
    with pytest.raises(MalformedEvent) as caught:
        async with ScriptedDaemon("ready(); raw(b'garbage\\n'); until_term()").open(
            folder=tmp_path, strict=True
        ):
            await trio.sleep_forever()
    assert caught.value.raw == b"garbage"
    assert "not JSON" in str(caught.value)
    remove_kept(caught.value)
