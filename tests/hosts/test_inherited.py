"""The environment that programs inherit."""

from __future__ import annotations

import os

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


def test_an_environment_of_another_kind_is_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"COLOUR": "green"})
    assert inherited() == {"COLOUR": "green"}
    os.environ["COLOUR"] = "blue"
    assert inherited() == {"COLOUR": "blue"}
