"""The prompt of ``--pdb``, opened where a test fails: its daemons still run, and end when it is closed."""

from __future__ import annotations

from typing import Final

import pytest

_PLUGIN: Final = "pdbinvoke"
_LENT: Final = pytest.StashKey[object]()
"""The plugin that opens prompts, while it is not to open one more for the same failure."""


def open_prompt(item: pytest.Item, error: BaseException) -> None:
    """Open pytest's prompt at an error of the test that runs, if ``--pdb`` asks for prompts."""
    manager = item.config.pluginmanager
    invoke = manager.getplugin(_PLUGIN)
    if invoke is None or item.get_closest_marker("xfail") is not None:
        return

    def fail() -> None:
        raise error

    call = pytest.CallInfo.from_call(fail, "call")
    report = pytest.TestReport.from_item_and_call(item, call)
    # First, so that leaving pytest at the prompt finds everything in order.
    manager.unregister(invoke)
    item.stash[_LENT] = invoke
    invoke.pytest_exception_interact(node=item, call=call, report=report)


def give_back(item: pytest.Item) -> None:
    """Let further failures open prompts again."""
    if (invoke := item.stash.get(_LENT, None)) is not None:
        del item.stash[_LENT]
        item.config.pluginmanager.register(invoke, _PLUGIN)
