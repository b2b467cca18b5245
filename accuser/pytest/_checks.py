"""What the daemons' fixtures need of pytest and its other plugins, said where it is not there."""

from __future__ import annotations

from typing import Final

import pytest

_AUTO: Final = (
    ("asyncio_mode", "pytest-asyncio", "asyncio_mode = strict", "-p no:asyncio"),
    ("anyio_mode", "anyio", "anyio_mode = strict", "-p no:anyio"),
)
"""Settings that make another plugin take every asynchronous fixture, and what to do instead."""


def check_surroundings(request: pytest.FixtureRequest) -> None:
    """Fail the test, if the daemons' fixtures cannot work for it."""
    config = request.config
    # Whatever name it was loaded under.
    names = (getattr(plugin, "__name__", "") for _, plugin in config.pluginmanager.list_name_plugin())
    if not any(name.split(".")[0] == "pytest_trio" for name in names):
        _fail("the daemons' fixtures need pytest-trio: pip install 'accuser[pytest]'")
    for setting, plugin, instead, without in _AUTO:
        if _setting(config, setting) == "auto":
            _fail(
                f"the auto mode of {plugin} takes the daemons' fixtures, which are pytest-trio's: "
                f"set `{instead}` in pytest's configuration, or leave the plugin out with `{without}`"
            )
    if request.node.get_closest_marker("trio") is None:
        _fail(
            "the daemons' fixtures are for asynchronous tests under pytest-trio: write `async def`, and "
            "set `trio_mode = true` in pytest's configuration or mark the test with `pytest.mark.trio`"
        )
    if not config.pluginmanager.hasplugin("tmpdir"):
        _fail("what daemons write is kept in pytest's temporary folders: leave `-p no:tmpdir` out")


def _setting(config: pytest.Config, name: str) -> object:
    try:
        return config.getoption(name, None) or config.getini(name)
    except (KeyError, ValueError):
        return None  # the plugin is not there


def _fail(text: str) -> None:
    pytest.fail(text, pytrace=False)
