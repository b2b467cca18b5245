"""What the package hands out, and its small values."""

from __future__ import annotations

import inspect
import io
import logging
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

import accuser
from accuser import SANDBOX, AccuserError, LogFormatter, Protocol, UnknownProtocol, installed, wants_color


def test_the_public_names_say_that_they_are_of_the_package() -> None:
    names = [name for name in dir(accuser) if not name.startswith("_")]
    assert {"Accuser", "Node", "Client", "open_accuser", "EventTimeout", "SANDBOX", "Protocol"} <= set(names)
    for name in names:
        value = getattr(accuser, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__module__ == "accuser", name
            assert value.__doc__, name
    with pytest.raises(AttributeError, match="'accuser' has no attribute 'Accusr'"):
        _ = accuser.Accusr  # type: ignore[attr-defined]  # not known by its type


ERRORS: Final = [
    value
    for value in (getattr(accuser, name) for name in dir(accuser))
    if inspect.isclass(value) and issubclass(value, AccuserError) and value is not AccuserError
]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_shows_its_facts_and_reaches_another_process_with_its_notes(error: type[Any]) -> None:
    names = getattr(error, "__match_args__", ())
    made = error(*(f"the {name}" for name in names)) if names else error("a text")
    made.add_note("a note")
    facts = ", ".join(f"{name}='the {name}'" for name in names) or "'a text'"
    assert repr(made) == f"{error.__name__}({facts})"
    there = pickle.loads(pickle.dumps(made))
    assert repr(there) == repr(made)
    assert there.__notes__ == ["a note"]


def test_the_package_is_typed() -> None:
    assert (Path(accuser.__file__).parent / "py.typed").exists()


def test_importing_the_package_costs_nothing_before_its_first_use() -> None:
    program = "import sys, accuser; print('trio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_name_that_is_taken_first_does_not_break_what_is_loaded_later() -> None:
    program = "import accuser; accuser.Event; [getattr(accuser, name) for name in dir(accuser)]"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_nothing_of_the_package_loads_pytest() -> None:
    everything = "import sys, accuser; [getattr(accuser, name) for name in dir(accuser)]; "
    program = everything + "print({'pytest', '_pytest', 'trio.testing'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("protocol", "number", "tag", "daemon_name", "name", "protocol_hash"),
    [
        (
            Protocol.ATLAS,
            1,
            "atlas",
            "PtAtLas",
            "001-PtAtLas",
            "PtAtLasdzXg4XxeVNtWheo13nG4wHXP22qYMqFcT3fyBpWkFero",
        ),
        (
            Protocol.BOREAS,
            2,
            "boreas",
            "PtBoreas",
            "002-PtBoreas",
            "PtBoreasK2KPuKbeYtXeEdudEHS7YcMFHE9amwheUc4kejTxgRi",
        ),
        (
            Protocol.ALPHA,
            3,
            "alpha",
            "alpha",
            "alpha",
            "ProtoALphaALphaALphaALphaALphaALphaALphaALphaDdp3zK",
        ),
    ],
)
def test_the_protocols(
    protocol: Protocol, number: int, tag: str, daemon_name: str, name: str, protocol_hash: str
) -> None:
    assert (protocol.number, protocol.tag, protocol.daemon_name) == (number, tag, daemon_name)
    assert (protocol.long_name, protocol.hash) == (name, protocol_hash)
    assert protocol.accuser_binary == f"mavkit-accuser-{daemon_name}"
    assert protocol.baker_binary == f"mavkit-baker-{daemon_name}"
    for text in (tag, daemon_name.upper(), name, protocol_hash):
        assert Protocol.parse(text) is protocol


def test_previous_protocols_are_upstreams() -> None:
    assert [protocol.previous for protocol in Protocol] == [None, Protocol.ATLAS, Protocol.ATLAS]


def test_a_protocol_that_does_not_exist() -> None:
    with pytest.raises(UnknownProtocol) as caught:
        Protocol.parse("Babylon")
    assert caught.value.name == "Babylon"
    assert str(caught.value) == "unknown protocol 'Babylon': the known ones are atlas, boreas, alpha"


def test_binaries_are_searched_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = {name: tmp_path / name for name in ("argument", "variable", "path")}
    for folder in folders.values():
        folder.mkdir()
        binary = folder / "mavkit-node"
        binary.touch(mode=0o755)
    monkeypatch.setenv("MAVKIT_BIN_DIR", str(folders["variable"]))
    monkeypatch.setenv("PATH", str(folders["path"]))
    toolchain = installed(folders["argument"])
    for folder in folders.values():
        assert toolchain.command("mavkit-node") == (str(folder / "mavkit-node"),)
        (folder / "mavkit-node").unlink()


def test_the_sandbox_is_started_by_path_with_the_name_of_the_real_executable() -> None:
    command = SANDBOX.command("mavkit-node")
    assert command[0] == sys.executable
    assert command[-1] == "mavkit-node"
    assert Path(command[-2]).is_file()


def test_colors_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert wants_color(Terminal())
    assert not wants_color(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_color(Terminal())
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_color(Terminal())


def test_log_lines_are_colored_as_wholes() -> None:
    record = logging.makeLogRecord({"msg": "[node1] words", "color": "\033[36m"})
    assert LogFormatter(color=True).format(record).startswith("\033[36m[")
    assert LogFormatter(color=True).format(record).endswith("[node1] words\033[0m")
    assert "\033" not in LogFormatter(color=False).format(record)
