"""The environment that programs inherit."""

from __future__ import annotations

import os
from typing import Any

import pytest

from accuser._hosts.host import inherited


def test_it_is_the_environment_as_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    assert inherited() == dict(os.environ)
    monkeypatch.setenv("ACCUSER_TEST_COLOUR", "gr\udcfcn")
    assert inherited()["ACCUSER_TEST_COLOUR"] == "gr\udcfcn"
    os.environb[b"ACCUSER_TEST_COLOUR"] = b"blue"
    assert inherited()["ACCUSER_TEST_COLOUR"] == "blue"
    monkeypatch.delenv("ACCUSER_TEST_COLOUR")
    assert inherited() == dict(os.environ)
    assert "ACCUSER_TEST_COLOUR" not in inherited()


def test_nothing_is_read_again_while_nothing_changes() -> None:
    assert inherited() is inherited()


def test_an_environment_that_adds_something_is_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    colours = ["green", "blue"]
    ours: Any = os.environ
    kind: Any = type(ours)

    class Layered(kind):  # type: ignore[misc]  # of a private class, as others make such
        def __getitem__(self, name: str) -> str:
            return colours[0] if name == "HOME" else str(super().__getitem__(name))

    theirs = Layered(ours._data, ours.encodekey, ours.decodekey, ours.encodevalue, ours.decodevalue)
    monkeypatch.setattr(os, "environ", theirs)
    monkeypatch.setenv("HOME", "/")
    assert inherited()["HOME"] == "green"
    del colours[0]
    assert inherited()["HOME"] == "blue"


def test_an_environment_of_another_kind_is_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"COLOUR": "green"})
    assert inherited() == {"COLOUR": "green"}
    os.environ["COLOUR"] = "blue"
    assert inherited() == {"COLOUR": "blue"}
