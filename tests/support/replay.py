"""A node that answers as one did in a recorded run, in virtual time, and the run's expected outcome."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import h11
import trio
import trio.testing

from accuser._http.errors import NodeUnreachable

RUNS = Path(__file__).parent.parent / "data" / "recorded-runs"
URL = "http://127.0.0.1:8732"


@attrs.frozen
class Recording:
    """One recorded run of upstream's accuser."""

    name: str
    requests: list[dict[str, Any]]
    events: list[dict[str, Any]]
    """Items without host name and time stamp, the one of the sink itself excluded."""
    stdout: list[str]
    stderr: list[str]
    status: int
    begin: float
    end: float

    @classmethod
    def load(cls, name: str) -> Recording:
        requests = []
        if (path := RUNS / f"{name}.http.jsonl").exists():
            requests = [json.loads(line) for line in path.read_text().splitlines()]
        output = (RUNS / f"{name}-output.txt").read_text()
        found = re.fullmatch(
            r"(?:command: .*\n)?exit status (\d+),.*\n--- standard output\n(.*?)\n?--- standard error\n(.*)",
            output,
            re.DOTALL,
        )
        assert found, name
        stamps = [float(stamp) for stamp in re.findall(r"^\[ *([0-9.]+)\]", output, re.MULTILINE)]
        stopped = re.search(r"^\[ *([0-9.]+)\] Fatal error:$", found[2], re.MULTILINE)
        times = [request["time"] for request in requests]
        for request in requests:
            times += [chunk["time"] for chunk in request.get("chunks", [])]
            times += [request["ended"]["time"]] if request.get("ended") else []
        return cls(
            name=name,
            requests=requests,
            events=[
                shown
                for line in (RUNS / f"{name}.events").read_bytes().split(b"\n")
                if line and (shown := item(line))["section"] != ["internal_event_unix"]
            ],
            stdout=lines(found[2]),
            stderr=lines(found[3]),
            status=int(found[1]),
            begin=min([*stamps, *times]),
            end=float(stopped[1]) if stopped else max([*stamps, *times]),
        )


def item(line: bytes) -> dict[str, Any]:
    """An item of the event stream without what differs from run to run."""
    fields = dict(json.loads(line)["fd-sink-item.v0"])
    del fields["hostname"], fields["time_stamp"]
    return fields


def lines(text: str) -> list[str]:
    """Lines of output without what differs from run to run, or is deliberately our own."""
    shown = []
    for line in text.splitlines():
        line = re.sub(r"^\[ *[0-9.]+\] ?", "", line)
        line = re.sub(r"^[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d\.\d{3}: ", "", line)
        line = re.sub(r"validation: [^)]*", "validation: now", line)
        line = re.sub(r"^Accuser .* for", "Accuser VERSION for", line)
        if line.strip():
            shown.append(line)
    return shown


class ReplayedNode:
    """Answers requests by their recorded answers, each at its recorded time.

    The n-th request for a path gets the n-th answer that was recorded for it. Time is that of
    trio's clock, from ``start`` on; ``away`` are the times at which nobody listens.
    """

    def __init__(self, recording: Recording, away: tuple[float, float] | None = None) -> None:
        self._recording = recording
        self._away = away
        self._answers: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for request in recording.requests:
            self._answers.setdefault((request["method"], request["path"]), []).append(request)
        self._nursery: trio.Nursery | None = None
        self._origin: float | None = None
        self.seen: list[tuple[str, str, Any]] = []
        """Method, path and decoded body of every request, in order of arrival."""
        self.headers: list[dict[str, str]] = []

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    async def connect(self) -> trio.abc.Stream:
        """Open a connection, as ``HttpClient(connect=...)`` wants it."""
        await trio.lowlevel.checkpoint()
        if self._away is not None and self._away[0] <= trio.current_time() <= self._away[1]:
            try:
                raise ConnectionRefusedError(111, "Connection refused")
            except ConnectionRefusedError as error:
                raise NodeUnreachable(url=URL, reason=str(error)) from error
        ours, theirs = trio.testing.memory_stream_pair()
        assert self._nursery is not None
        self._nursery.start_soon(self.answer, ours)
        return theirs

    def begin_now(self) -> None:
        """Take this moment for the one of the first recorded request, unless that was done."""
        if self._origin is None:
            self._origin = trio.current_time() - self._recording.begin

    async def answer(self, stream: trio.abc.Stream) -> None:
        try:
            await self._talk(stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            # The accuser has left: it may.
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _talk(self, stream: trio.abc.Stream) -> None:
        connection = h11.Connection(h11.SERVER)
        body = b""
        request = None
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some()))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                return
        assert request is not None
        method, path = request.method.decode(), request.target.decode()
        self.seen.append((method, path, json.loads(body) if body else None))
        self.headers.append({name.decode(): value.decode() for name, value in request.headers})
        answers = self._answers.get((method, path))
        assert answers, f"a request that was not recorded: {method} {path}"
        answer = answers.pop(0) if len(answers) > 1 or "validators" not in path else answers[0]
        chunked = "chunks" in answer and "19b" not in self._recording.name
        length = [("content-length", str(len(answer.get("response_body", "").encode())))]
        fields = [("content-type", answer["response_content_type"] or "application/json")]
        fields += [] if "chunks" in answer else length
        head = h11.Response(status_code=answer["status"], headers=[*fields, ("connection", "close")])
        if not chunked and "chunks" in answer:
            content_type = fields[0][1]
            await stream.send_all(f"HTTP/1.0 200 OK\r\ncontent-type: {content_type}\r\n\r\n".encode())
        else:
            await stream.send_all(connection.send(head) or b"")
        if "chunks" not in answer:
            await self._until(answer["response_time"])
            data = answer["response_body"].encode()
            await stream.send_all((connection.send(h11.Data(data=data)) if data else b"") or b"")
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._stream, stream, connection, answer, chunked, nursery.cancel_scope)
            await stream.receive_some()
            nursery.cancel_scope.cancel()

    async def _until(self, time: float) -> None:
        await trio.sleep_until(max(time + (self._origin or 0.0), trio.current_time()))

    async def _stream(
        self,
        stream: trio.abc.Stream,
        connection: h11.Connection,
        answer: dict[str, Any],
        chunked: bool,
        scope: trio.CancelScope,
    ) -> None:
        for chunk in answer["chunks"]:
            await self._until(chunk["time"])
            data = chunk["body"].encode()
            await stream.send_all((connection.send(h11.Data(data=data)) if chunked else data) or b"")
        if answer["ended"]["by"] == "server":
            await self._until(answer["ended"]["time"])
            if chunked:
                await stream.send_all(connection.send(h11.EndOfMessage()) or b"")
            scope.cancel()


def streams_apart(requests: list[tuple[str, str, Any]]) -> tuple[list[tuple[str, str, Any]], Counter[str]]:
    """Requests of the main line in order, and how often the mempool was asked for.

    The mempool stream is reopened beside the request that a new block causes: their order is chance.
    """
    main = [each for each in requests if "monitor_operations" not in each[1]]
    return main, Counter(path for _, path, _ in requests if "monitor_operations" in path)
