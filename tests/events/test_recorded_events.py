"""Recorded streams: each record, levels, values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accuser import Malformed
from accuser._stream.decoding import decode_block
from tests.support.recorded_events import NETSTRINGS, RECORDED, decoded, events, malformed, stream, words

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
