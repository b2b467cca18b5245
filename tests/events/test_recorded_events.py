"""Every recorded event stream decodes to what the recordings' index says of it."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from accuser import Event, Malformed
from accuser._stream.decoding import decode_block
from accuser._stream.event import Record
from accuser._stream.framing import Framer
from accuser._stream.netstring import NetstringFramer

RECORDED = Path(__file__).parent.parent / "data" / "recorded-events"

# Names without their ".v0"; "-" is an event without a name, "!" a piece that is no event.

ALL_INFO = """
uri_loaded_from_env daemon_setup daemon_start block-seen-002-PtBoreas accuser_processed_block
block-seen-002-PtBoreas double_attestation_detected double_attestation_denounced
double_preattestation_detected double_preattestation_denounced inconsistent_attestation
unexpected_pruned_block double_baking_detected double_baking_denounced protocol_change_detected
fetch_operations_error accuser_processed_block accuser_block_error*3 invalid_level_conversion
cannot_fetch_event daemon_error -*3 daemon_connection_lost
"""
DENUNCIATION_DEBUG = """
accuser_saw_block accuser_processed_block accuser_saw_block double_attestation_detected
double_attestation_denounced double_preattestation_detected double_preattestation_denounced
double_consensus_already_denounced consensus_operation_too_old consensus_operation_too_far_in_future
inconsistent_attestation unexpected_pruned_block double_baking_but_not double_baking_detected
double_baking_denounced protocol_change_detected fetch_operations_error accuser_processed_block
accuser_block_error*3 invalid_level_conversion
"""
ALL_DEBUG = (
    "uri_loaded_from_env daemon_setup daemon_start block-seen-002-PtBoreas"
    + DENUNCIATION_DEBUG.replace(
        "accuser_processed_block accuser_saw",
        "accuser_processed_block block-seen-002-PtBoreas accuser_saw",
        1,
    )
    + "cannot_fetch_event daemon_error daemon_wakeup -*3 daemon_connection_lost"
)
STRINGS = "uri_loaded_from_env string_value*17 two_strings bytes_value*2 -*2 weird_section"
NUMBERS = """
uri_loaded_from_env float_value*18 !*3 float_value int64_value*4 z_value*3 int31_value*4 bool_value
option_value*2 list_value*2 object_value*2 no_value two_numbers system_time*4 protocol_time*5 time_span*5
"""
NODE = """
uri_loaded_from_env p2p-initialization store_successful_store init_store end_init_store set_head
set_checkpoint validation_success validation_failed synchronisation_status*3 head_increment branch_switch
notify_head connection block_info bootstrap_time_remaining bootstrapped request_failure
notice_from_protocol fatal_from_protocol -*2 error shutdown_p2p shutdown_store
"""
NODE_RUN = """
uri_loaded_from_env disabled_discovery_addr starting_node p2p-initialization starting_local_rpc_server
node_is_ready incorrect_history_mode metrics_ended shutting_down_node shutting_down_local_rpc_server bye*2
"""
SHORT = "daemon_setup daemon_start accuser_processed_block double_attestation_detected"
FIVE = f"uri_loaded_from_env {SHORT}"
BIG = "uri_loaded_from_env double_baking_denounced accuser_processed_block"
START = "uri_loaded_from_env daemon_setup daemon_start"
SEEN = "block-seen-002-PtBoreas accuser_saw_block"
PRUNED = f"{SEEN} unexpected_pruned_block accuser_processed_block"
FAILED = f"{SEEN} accuser_block_error accuser_processed_block"
CHANGED = "block-seen-002-PtBoreas protocol_change_detected accuser_processed_block"
QUIET = "block-seen-002-PtBoreas unexpected_pruned_block accuser_processed_block"

STREAMS = {
    "01-default": ALL_INFO,
    "02-one-per-line-debug": ALL_DEBUG,
    "03-netstring-debug": ALL_DEBUG,
    # Text for people: every line is malformed, and not one is taken for an event.
    "04-pp-debug": "!*49",
    "05-pp-rfc5424-debug": "!*49",
    "06-pp-short-debug": "!*64",
    "07-pp-short-colors-debug": "!*64",
    "13-accuser-only-denunciation": DENUNCIATION_DEBUG,
    "20-strings": STRINGS,
    "21-strings-netstring": STRINGS,
    "22-strings-pp": "!*26",
    "23-numbers": NUMBERS,
    "30-node": NODE,
    "31-node-netstring": NODE,
    "32-node-pp": "!*31",
    "33-node-start-and-stop": NODE_RUN,
    "34-node-start-and-stop-pp": "!*12",
    "40-reader-died-first-reader": "uri_loaded_from_env counter*4",
    "40-reader-died-second-reader": "counter*6",
    "41-reader-replaced-with-unread-bytes-first": "uri_loaded_from_env counter !",
    "41-reader-replaced-with-unread-bytes-second": "! counter*4",
    "42-reader-gap-first": "uri_loaded_from_env counter !",
    "42-reader-gap-second": "! counter*3",
    "43-writer-killed-mid-event": f"{FIVE} !",
    "44-writer-exits-with-event-pending": f"{FIVE} !",
    "45-reader-died-inside-large-event-first": f"{FIVE} !",
    "45-reader-died-inside-large-event-second": "! counter*5",
    "46-two-runs-one-reader": f"{FIVE} {FIVE}",
    "49-reader-stalled-3-seconds": "uri_loaded_from_env counter*60",
    "50-four-writers-small": "uri_loaded_from_env counter*5 uri_loaded_from_env counter*13 "
    "uri_loaded_from_env counter*102 uri_loaded_from_env counter*40",
    "51-four-writers-5000-bytes-slow-reader": "uri_loaded_from_env*2 counter*10 uri_loaded_from_env "
    "counter*9 ! counter*4 ! counter ! uri_loaded_from_env ! counter*7 ! counter ! counter*5 ! counter ! "
    "counter*6",
    "52-four-writers-20000-bytes": "uri_loaded_from_env*2 counter*5 ! counter*2 uri_loaded_from_env ! "
    "counter*2 !*2 counter ! counter ! uri_loaded_from_env !*2 counter ! counter ! counter*2 ! counter ! "
    "counter ! counter*2",
    # The index calls it mixed; its netstrings follow each other whole, one writer's after the other's.
    "53-two-writers-netstring-5000-bytes-slow-reader": "uri_loaded_from_env counter*10 "
    "uri_loaded_from_env counter*10",
    "54-four-writers-3500-bytes-slow-reader": "uri_loaded_from_env*2 counter*20 uri_loaded_from_env "
    "counter*3 uri_loaded_from_env counter*57",
    "60-burst-400": "uri_loaded_from_env accuser_saw_block*400",
    "61-big-event-4-kilobytes": BIG,
    "62-big-event-66-kilobytes": BIG,
    "63-big-event-300-kilobytes": BIG,
    "64-big-event-66-kilobytes-netstring": BIG,
    "65-concurrent-emits": "uri_loaded_from_env counter*20",
    # Lines and netstrings in one pipe, read as lines: what frames the netstrings is malformed.
    "70-two-sinks-same-fifo": "! uri_loaded_from_env ! uri_loaded_from_env daemon_setup daemon_start "
    "! accuser_processed_block ! accuser_processed_block "
    "! double_attestation_detected ! double_attestation_detected",
    "71-same-uri-twice": "uri_loaded_from_env*2 daemon_setup*2 daemon_start*2 accuser_processed_block*2 "
    "double_attestation_detected*2",
    "72-fresh-true": FIVE,
    "73-hostname-0": FIVE,
    "73-hostname-1": FIVE,
    "73-hostname-2": FIVE,
    "74-config-file": FIVE,
    "80-writer-first-reader-2-seconds-later": FIVE,
    "90-accuser-sigterm": f"{START} {PRUNED} {PRUNED}",
    "91-accuser-sigint": f"{START} {PRUNED} {PRUNED}",
    "92-accuser-block-errors": f"{START} {FAILED} {FAILED}",
    "93-accuser-protocol-change": f"{START} {CHANGED} {CHANGED}",
    "94-accuser-node-lost": f"{START} {PRUNED} {PRUNED} daemon_connection_lost",
    "95-accuser-default-level": f"{START} {QUIET} {QUIET}",
    "96-accuser-netstring": f"{START} {PRUNED} {PRUNED}",
    "97-accuser-reader-died": f"{START} {PRUNED}",
    "98-accuser-keep-alive-reader-died": f"{START} {PRUNED}",
    "9b-accuser-bad-gateway": f"{START} {SEEN} -*10 accuser_block_error accuser_processed_block",
    "9c-accuser-reader-stalled-sigterm": f"{START} {' '.join([PRUNED] * 32)}",
    "9d-accuser-stderr-not-read": f"{START} {SEEN}",
}
NETSTRINGS = {
    "03-netstring-debug",
    "21-strings-netstring",
    "31-node-netstring",
    "53-two-writers-netstring-5000-bytes-slow-reader",
    "64-big-event-66-kilobytes-netstring",
    "96-accuser-netstring",
}

LEVELS = ("debug", "info", "notice", "warning", "error", "fatal")
FILTERS = {
    **{f"10-levels-at-least-{level}": [("", level)] for level in LEVELS},
    "10-levels-at-least-upper-case-DEBUG": [("", "debug")],
    "11-levels-default": [],
    "12-sections-a-only": [("levels.a", "info")],
    "12-sections-a-debug": [("levels.a", "debug")],
    "12-sections-a-none": [("levels.a", "none")],
    "12-sections-a-error-b-debug": [("levels.a", "error"), ("levels.b", "debug")],
    "12-sections-two-in-one-comma": [("levels.a", "error"), ("levels.b", "debug")],
    "12-sections-order-general-first": [("levels", "none"), ("levels.a", "debug")],
    "12-sections-order-specific-first": [("levels.a", "debug"), ("levels", "none")],
    "12-sections-default-none-but-a": [("levels.a", "debug"), ("", "none")],
    "12-sections-level-at-least-error-and-a-debug": [("levels.a", "debug"), ("", "error")],
    "12-sections-empty-prefix-debug": [("", "debug")],
    "12-sections-partial-word": [("lev", "none")],
}
"""The rules of each query in the sink's order; the first that matches decides, Info where none does."""


def stream(name: str) -> bytes:
    return (RECORDED / f"{name}.events").read_bytes()


def decoded(name: str, data: bytes | None = None, step: int = 65536) -> list[Record]:
    """The records of a stream that is read ``step`` bytes at a time."""
    data = stream(name) if data is None else data
    framer = NetstringFramer() if name in NETSTRINGS else Framer()
    blocks = [framer.feed(data[at : at + step]) for at in range(0, len(data), step)]
    return [record for block in [*blocks, framer.finish()] for record in decode_block(block)]


def events(name: str) -> list[Event]:
    return [record for record in decoded(name) if isinstance(record, Event)]


def malformed(name: str) -> list[Malformed]:
    return [record for record in decoded(name) if isinstance(record, Malformed)]


def words(found: list[Record]) -> list[str]:
    return ["!" if isinstance(r, Malformed) else r.name.removesuffix(".v0") or "-" for r in found]


def spelled_out(short: str) -> list[str]:
    parts = [word.partition("*") for word in short.split()]
    return [name for name, _, count in parts for _ in range(int(count or 1))]


def test_no_recording_is_left_out() -> None:
    recordings = {path.stem for path in RECORDED.glob("*.events")}
    assert recordings == STREAMS.keys() | FILTERS.keys()
    assert len(recordings) == 79


@pytest.mark.parametrize("name", STREAMS)
def test_the_records_of_a_stream(name: str) -> None:
    assert words(decoded(name)) == spelled_out(STREAMS[name])


@pytest.mark.parametrize("name", [*STREAMS, *FILTERS])
def test_how_it_is_read_does_not_matter(name: str) -> None:
    whole = decoded(name)
    data = stream(name)
    for step in (4096, 1009, 100, *((1,) if len(data) < 15_000 else ())):
        assert decoded(name, data, step) == whole


@pytest.mark.parametrize("name", [*STREAMS, *FILTERS])
def test_every_byte_is_in_a_record(name: str) -> None:
    """Take the records' bytes out one after the other: what framed them is all that is left."""
    rest = stream(name)
    framing = b"0123456789:,\n" if name in NETSTRINGS else b"\n"
    for record in decoded(name):
        if isinstance(record, Malformed):
            before, raw, rest = rest.partition(record.raw)
            assert raw == record.raw
        else:
            before, start, rest = rest.partition(b'{"fd-sink-item.v0":')
            # The end as the standard library sees it; Latin-1 keeps positions.
            end = json.JSONDecoder().raw_decode((start + rest).decode("latin-1"))[1]
            assert decode_block((start + rest)[:end]) == [record]
            rest = (start + rest)[end:]
        assert before.strip(framing) == b""
    assert rest.strip(framing) == b""


# Levels and sections.


def passes(section: str, level: str, rules: list[tuple[str, str]]) -> bool:
    parts = section.split(".") if section else []
    for prefix, least in [*rules, ("", "info")]:
        wanted = prefix.split(".") if prefix else []
        if parts[: len(wanted)] == wanted:
            return least != "none" and LEVELS.index(level) >= LEVELS.index(least)
    raise AssertionError("the empty prefix matches everything")


@pytest.mark.parametrize("name", FILTERS)
def test_levels_and_sections_let_through(name: str) -> None:
    written = [("internal_event_unix", "uri_loaded_from_env.v0", "notice")]
    for section in ("levels.a", "levels.b", "levels.a.inner", "other"):
        written += [(section, f"at_{level}.v0", level) for level in LEVELS]
    written += [("", f"nosection_{level}.v0", level) for level in LEVELS]
    written.append(("", "", "notice"))
    expected = [(s, n) for s, n, level in written if passes(s, level, FILTERS[name])]
    found = events(name)
    assert [(".".join(event.section), event.name) for event in found] == expected
    assert malformed(name) == []
    for event in found:
        if event.name.startswith(("at_", "nosection_")):
            assert event.value in event.name


# Values.


@pytest.mark.parametrize("name", ["20-strings", "21-strings-netstring"])
def test_strings(name: str) -> None:
    found = [event.value for event in events(name)[1:]]
    assert found == [
        "",
        "plain",
        'with "quotes" and \\ backslash and / slash',
        "line1\nline2\r\nline3",
        "tab\there",
        "nul\0nul",
        "".join(map(chr, range(32))),
        "\x7f del",
        "café € 😀 (emoji, 4 bytes)",
        "\u2028 line sep \u2029 para sep \x85 nel",
        "\ufeff bom",
        "netstring,5:hello,",
        '{"json":"inside"}',
        {"invalid_utf8_string": list(b"\xff\xfe invalid utf8 \xc3")},
        {"invalid_utf8_string": list(b"\xed\xa0\x80 surrogate")},
        "</script><!--",
        "x" * 200,
        {"a": "a\nb", "b": "{c}"},
        "0001feff616263",
        "",
        "a bare string event\nwith newline",
        "good after failure",
        "section components with forbidden characters",
    ]
    assert events(name)[-1].section == ("a_b", "c_d", "__", "x_y")
    assert [event.section for event in events(name)[-3:-1]] == [(), ()]


def test_numbers() -> None:
    values = [event.value for event in events("23-numbers")[1:]]
    # The largest float is written rounded up, beyond every float.
    assert values[15] == float("inf")
    assert values[:15] == [
        *(0, 0, 1, 1.5, 0.1, 0.3, 1e15, 1e16, 1e17, 1.234567890123457e17, 1e21, 1e22, 1e300, 1e-07),
        5e-324,
    ]
    assert values[16:19] == [1700000000.123456, 3.141592653589793, 100]
    assert values[24] == "123456789012345678901234567890"
    assert (values[30], values[31], values[32]) == (True, None, "x")
    near = ["inf", "-inf", "nan"]
    for piece, number in zip(malformed("23-numbers"), near, strict=True):
        assert piece.raw.endswith(b":%s}}}" % number.encode())
        assert piece.reason.startswith("not JSON: invalid character at ")
        assert f":{number}}}" in piece.reason


def test_host_names() -> None:
    names = [{event.hostname for event in events(f"73-hostname-{n}")} for n in range(3)]
    assert names == [{""}, {'höst 😀 "q"\n'}, {"127.0.0.1:8732"}]


def test_both_formats_say_the_same() -> None:
    def facts(name: str) -> list[Any]:
        return [(event.name, event.value, event.section) for event in events(name)[1:]]

    assert facts("02-one-per-line-debug") == facts("03-netstring-debug")
    assert facts("20-strings") == facts("21-strings-netstring")


def test_events_without_a_name() -> None:
    bare = [event for event in events("30-node") if not event.name]
    assert [event.value for event in bare] == ["started", "ended"]
    attempts = [event.value for event in events("9b-accuser-bad-gateway") if not event.name]
    assert [attempt["attempt"] for attempt in attempts] == list(range(1, 11))
    assert events("9b-accuser-bad-gateway")[5].full()["fd-sink-item.v0"]["event"] == attempts[0]


# What comes when readers and writers go.


def counters(name: str) -> list[tuple[str, int]]:
    return [(e.value["writer"], e.value["n"]) for e in events(name) if e.name == "counter.v0"]


def test_a_reader_that_takes_over_begins_inside_a_record() -> None:
    for case, rest in (("41-reader-replaced-with-unread-bytes", [3, 4, 5, 6]), ("42-reader-gap", [3, 7, 8])):
        (head,), (tail,) = malformed(f"{case}-first"), malformed(f"{case}-second")
        assert head.reason == "cut off: it ends inside of a JSON text"
        assert tail.reason.startswith("not JSON: invalid character at 0")
        (event,) = decode_block(head.raw + tail.raw)
        assert isinstance(event, Event)
        assert event.value["n"] == 2
        assert counters(f"{case}-first") == [("w", 1)]
        assert counters(f"{case}-second") == [("w", n) for n in rest]


def test_a_record_that_the_writers_end_cut() -> None:
    for name, size in (
        ("43-writer-killed-mid-event", 61440),
        ("44-writer-exits-with-event-pending", 61440),
        ("45-reader-died-inside-large-event-first", 32768),
    ):
        (piece,) = malformed(name)
        assert (len(piece.raw), piece.reason) == (size, "cut off: it ends inside of a JSON text")


def test_the_item_glued_to_the_tail_of_an_aborted_one_is_recovered() -> None:
    name = "45-reader-died-inside-large-event-second"
    (tail,) = malformed(name)
    assert len(tail.raw) == 65536
    assert stream(name)[65536:].startswith(b'{"fd-sink-item.v0":')
    assert counters(name) == [("w", n) for n in range(6, 11)]


def test_a_stalled_reader_loses_nothing() -> None:
    assert counters("49-reader-stalled-3-seconds") == [("w", n) for n in range(1, 61)]


def test_big_items_come_whole() -> None:
    for name, size in (
        ("61-big-event-4-kilobytes", 4 * 1024),
        ("62-big-event-66-kilobytes", 66 * 1000),
        ("63-big-event-300-kilobytes", 300 * 1000),
        ("64-big-event-66-kilobytes-netstring", 66 * 1000),
    ):
        assert abs(len(events(name)[1].value["bytes"]) - size) < size // 20
        bytes.fromhex(events(name)[1].value["bytes"])


# Several writers.


def genuine(event: Event, size: int) -> bool:
    """Whether all of it is one writer's: ``size`` letters of padding, all the one of its number."""
    return bool(event.value["pad"] == chr(ord("a") + event.value["n"]) * size)


def mixed(name: str, size: int) -> list[tuple[str, int]]:
    found = [event for event in events(name) if event.name == "counter.v0"]
    return [(event.value["writer"], event.value["n"]) for event in found if not genuine(event, size)]


def test_lines_up_to_4096_bytes_stay_whole() -> None:
    for name, count in (("50-four-writers-small", 40), ("54-four-writers-3500-bytes-slow-reader", 20)):
        found = counters(name)
        for writer in ("w0", "w1", "w2", "w3"):
            assert [n for w, n in found if w == writer] == list(range(1, count + 1))


@pytest.mark.parametrize(
    ("name", "size", "good", "bad"),
    [
        ("51-four-writers-5000-bytes-slow-reader", 5000, 43, [("w2", 6)]),
        ("52-four-writers-20000-bytes", 20000, 15, [("w1", 4), ("w3", 1), ("w3", 4), ("w2", 4)]),
    ],
)
def test_longer_lines_of_several_writers_get_mixed(
    name: str, size: int, good: int, bad: list[tuple[str, int]]
) -> None:
    """Whatever was not torn comes, and a few mixtures that look like items: no byte tells these."""
    whole = re.findall(rb'"pad":"([a-z])\1{%d}"}}}}\n' % (size - 1), stream(name))
    assert len(counters(name)) - len(bad) == good == len(whole)
    assert mixed(name, size) == bad


def test_what_is_mixed_in_lines_is_told_in_netstrings() -> None:
    """The same mixture with a length before each item: what is left is what was written."""
    mark = b'{"fd-sink-item.v0":'
    ends = stream("52-four-writers-20000-bytes").replace(b"}}}}\n", b"}}}},")
    data = b"".join(
        b"%d:%s%s" % (length_of(mark + rest), mark, rest) if at else rest
        for at, rest in enumerate(ends.split(mark))
    )
    framer = NetstringFramer()
    found = decode_block(framer.feed(data) + framer.finish())
    good = [r for r in found if isinstance(r, Event) and r.name == "counter.v0"]
    in_lines = [e for e in events("52-four-writers-20000-bytes") if e.name == "counter.v0"]
    assert good == [event for event in in_lines if genuine(event, 20000)]
    assert len(good) == 15
    assert {r.reason for r in found if isinstance(r, Malformed)} <= {
        "a netstring that is cut off, or of another length than it says",
        "not a netstring of an item",
    }


def length_of(item: bytes) -> int:
    """Its length before it was mixed: the padding had 20000 bytes."""
    head, pad, _ = item.partition(b'"pad":"')
    return len(head + pad) + 20000 + len(b'"}}}}') if pad else len(head.partition(b"}}}},")[0]) + 4


def test_two_writers_of_netstrings() -> None:
    name = "53-two-writers-netstring-5000-bytes-slow-reader"
    assert counters(name) == [*(("w1", n) for n in range(1, 11)), *(("w0", n) for n in range(1, 11))]
    assert all(genuine(event, 5000) for event in events(name) if event.name == "counter.v0")


def test_two_sinks_of_both_formats_read_as_netstrings() -> None:
    framer = NetstringFramer()
    found = decode_block(framer.feed(stream("70-two-sinks-same-fifo")) + framer.finish())
    pairs = [(word, len(list(group))) for word, group in itertools.groupby(words(found))]
    assert pairs == [
        ("uri_loaded_from_env", 1),
        ("!", 3),
        ("accuser_processed_block", 1),
        ("!", 1),
        ("double_attestation_detected", 1),
        ("!", 1),
    ]
