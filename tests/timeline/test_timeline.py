"""Recordings as pages and as traces, without a browser."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accuser import RecordingError
from accuser.timeline import timeline_page, timeline_trace
from accuser.timeline._data import KINDS, timeline_data
from tests.support.cli import accuser
from tests.support.recordings import (
    Entry,
    block,
    eventful,
    of,
    parsed,
    start,
    wait,
    write,
)
from tests.support.recordings import event as event_of


class Page(HTMLParser):
    """What a browser would see: the scripts by their ids, the style, the policy."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: dict[str, str] = {}
        self.styles: list[str] = []
        self.policy = ""
        self.attributes: list[tuple[str, str | None]] = []
        self._place = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        found = dict(attrs)
        self._place = tag
        if tag == "script":
            self._place = f"script {found.get('id')}"
            self.scripts[self._place] = ""
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        self._place = ""

    def handle_data(self, data: str) -> None:
        if self._place in self.scripts:
            self.scripts[self._place] += data
        elif self._place == "style":
            self.styles.append(data)


def page(tmp_path: Path, entries: list[Entry], **options: Any) -> Page:
    return Page(timeline_page(write(tmp_path / "run.jsonl", entries), **options))


def read(found: Page) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    texts = found.scripts["script texts"]
    return json.loads(found.scripts["script head"]), [json.loads(line) for line in texts.split("\n")]


def test_a_page_has_every_entry_in_the_order_of_time(tmp_path: Path) -> None:
    entries = eventful()
    head, texts = read(page(tmp_path, [*entries[5:], *entries[:5]]))
    columns = head["columns"]
    kinds = [KINDS[kind] for kind in columns["kind"]]
    assert kinds == [entry["type"] for entry in entries]
    assert [head["daemons"][daemon]["name"] for daemon in columns["daemon"]] == [e["daemon"] for e in entries]
    times, now = [], 0
    for difference in columns["time"]:
        now += difference
        times.append(now / 1e6)
    assert times == [entry["t"] for entry in entries]
    assert {"name": "accuser1", "kind": "accuser", "protocol": "002-PtBoreas"} in head["daemons"]
    (index,) = [index for index, text in enumerate(texts) if "ab" * 90 in json.dumps(text)]
    assert head["names"][columns["name"][index]] == "double_baking_denounced.v0"
    assert head["tones"][columns["name"][index]] == 1
    assert head["tones"][head["names"].index("accuser_block_error.v0")] == 2
    assert head["tones"][head["names"].index("malformed")] == 2


def test_blocks_have_levels_whoever_told_them(tmp_path: Path) -> None:
    name, denunciation = "accuser_processed_block.v0", "002-PtBoreas.delegate.denunciation"
    seen = {"hash": block(3), "header": {"level": 9}}
    entries = [
        event_of(1.0, "accuser1", denunciation, name, block(1)),
        event_of(1.1, "accuser1", denunciation, name, block(2)),
        event_of(1.2, "accuser1", "x", "block-seen-002-PtBoreas.v0", seen),
        event_of(1.3, "node1", "x", "head_increment.v0", {"view": {"hash": block(1)}, "level": 7}),
        event_of(1.4, "node1", "x", "set_head.v0", [block(1), 7]),
        event_of(1.5, "node1", "x", "set_head.v0", {"unheard": "of"}),
        event_of(1.6, "node1", "x", "accuser_saw_block.v0", {"hash": block(4), "level": 3}),
    ]
    head, _ = read(page(tmp_path, entries))
    assert head["blocks"] == [[block(1), 7], [block(2), None], [block(3), 9]]
    assert head["shows"] == [[0, 0], [1, 1], [2, 2], [4, 0]]


def test_nothing_recorded_ends_a_script_or_fills_a_place(tmp_path: Path) -> None:
    found = page(tmp_path, eventful(), title="<b>&@@script@@")
    assert list(found.scripts) == ["script head", "script texts", "script None"]
    head, texts = read(found)
    assert head["title"] == "<b>&@@script@@"
    note = "</script><script>alert(1)</script><!-- \u2028 @@x@@"
    assert note in [text.get("value") for text in texts]


def test_only_what_the_page_carries_may_run(tmp_path: Path) -> None:
    found = page(tmp_path, eventful())
    (style,) = found.styles
    for kind, text in (("script", found.scripts["script None"]), ("style", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in found.policy
    assert found.policy.startswith("default-src 'none'; ")
    # Nor does it name anything else.
    assert {name for name, _ in found.attributes} & {"src", "href", "onclick", "onload", "style"} == set()


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=6,
)


@given(st.text(st.characters(codec="utf-8"), min_size=1), anything)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_comes_through(tmp_path: Path, name: str, value: Any) -> None:
    head, (text,) = read(page(tmp_path, [event_of(0.5, "node1", "x", name, value)]))
    assert head["names"] == [name]
    assert text["value"] == value


def test_a_recording_that_was_cut_has_a_page(tmp_path: Path) -> None:
    entries = [of(0.5, "node1", "ready"), of(0.6, "node1", "line", stream="stdout", text="x")]
    head, _ = read(page(tmp_path, entries))
    assert head["daemons"] == [{"name": "node1", "kind": "", "protocol": None}]
    assert timeline_data(parsed([{"t": 0.0, "type": "to come", "daemon": "node1"}]), "t").texts == []


def test_a_trace_is_one_that_viewers_read(tmp_path: Path) -> None:
    entries = eventful()
    trace = json.loads(timeline_trace(write(tmp_path / "run.jsonl", entries)))
    events = trace["traceEvents"]
    assert {event["ph"] for event in events} == {"M", "X", "i", "b", "e"}
    named = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert sorted(named.values()) == ["accuser1", "node1"]
    threads = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    for event in events:
        if event["ph"] == "M":
            continue
        assert isinstance(event["ts"], int)
        assert (event["pid"], event["tid"]) in threads
        assert event["ph"] != "i" or event["s"] == "t"
    sessions = [
        (named[e["pid"]], e["name"], e["ts"], e["dur"], e["args"]["status"]) for e in events if e["ph"] == "X"
    ]
    assert sessions == [
        ("node1", "session 1", 100_000, 6_800_000, 127),
        ("accuser1", "session 1", 600_000, 4_300_000, -9),
        ("accuser1", "session 2", 5_500_000, 1_200_000, 127),
    ]
    begun = {e["id"]: (e["name"], e["ts"], e["args"]["outcome"]) for e in events if e["ph"] == "b"}
    ended = {e["id"]: e["ts"] for e in events if e["ph"] == "e"}
    assert sorted((*begun[number], ended[number]) for number in begun) == sorted(
        (e["what"], round(e["begun"] * 1e6), e["outcome"], round(e["t"] * 1e6))
        for e in entries
        if e["type"] == "wait"
    )
    (denounced,) = [e for e in events if e["name"] == "double_baking_denounced.v0" and e["ph"] == "i"]
    assert threads[denounced["pid"], denounced["tid"]] == "002-PtBoreas.delegate.denunciation"
    assert denounced["args"]["value"]["bytes"] == "ab" * 90
    instants = sum(event["ph"] == "i" for event in events)
    assert instants == sum(entry["type"] not in ("start", "exit", "wait") for entry in entries)


def test_a_trace_has_the_test_first_and_what_failed_in_red(tmp_path: Path) -> None:
    entries = [
        start(0.1, "a"),
        of(0.2, "a", "ready"),
        {"type": "step", "t": 0.5, "begun": 0.3, "what": "good", "outcome": "done"},
        {"type": "step", "t": 0.7, "begun": 0.6, "what": "bad", "outcome": "failed"},
        {"type": "failure", "t": 0.7, "begun": 0.7, "error": "KeyError", "message": "", "place": []},
    ]
    events = json.loads(timeline_trace(write(tmp_path / "run.jsonl", entries)))["traceEvents"]
    named = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    order = {named[e["pid"]]: e["args"]["sort_index"] for e in events if e["name"] == "process_sort_index"}
    assert sorted(order, key=order.__getitem__) == ["test", "a"]
    assert {e["name"]: e.get("cname") for e in events if e["ph"] == "X"} == {
        "session 1": None,
        "good": None,
        "bad": "terrible",
        "KeyError": "terrible",
    }


def test_a_session_without_an_end_lasts_as_long_as_the_recording(tmp_path: Path) -> None:
    entries = [start(0.5, "node1"), of(0.7, "node1", "ready"), wait(0.6, 0.9, "node1", "a.v0", "satisfied")]
    trace = json.loads(timeline_trace(write(tmp_path / "run.jsonl", entries)))
    assert [e["dur"] for e in trace["traceEvents"] if e["ph"] == "X"] == [400_000]


def test_what_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("words\n")
    with pytest.raises(RecordingError):
        timeline_page(tmp_path / "bad")
    with pytest.raises(RecordingError):
        timeline_trace(tmp_path / "bad")


async def test_the_command_writes_pages_and_traces(tmp_path: Path) -> None:
    recording = str(write(tmp_path / "run.jsonl", eventful()))
    done = await accuser("timeline", recording)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path / 'run.html'}\n", "")
    assert Page((tmp_path / "run.html").read_text()).scripts
    done = await accuser("timeline", recording, "--trace")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'run.trace.json'}\n")
    assert json.loads((tmp_path / "run.trace.json").read_text())["traceEvents"]
    done = await accuser("timeline", recording, "-o", "-", "--title", "A & B")
    assert done.returncode == 0
    assert "<title>A &amp; B - timeline</title>" in done.stdout
    done = await accuser("timeline", recording, "-o", str(tmp_path / "no" / "such"))
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    (tmp_path / "bad").write_text("words\n")
    done = await accuser("timeline", str(tmp_path / "bad"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "line 1 is no entry of a recording" in done.stderr
