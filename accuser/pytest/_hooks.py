"""What pytest calls. Nothing of the engine is imported before a test has asked for a fixture."""

from __future__ import annotations

import inspect
import types
from collections.abc import Generator, Sequence
from types import ModuleType
from typing import Any, Final

import pytest

from . import _fixtures, _imports, _lines, _options, _pool
from ._fixtures import BUNDLE

_FIXTURES: Final = (
    *("toolchain", "protocol", "node", "client", "accuser", "baker"),
    *("open_node", "open_client", "open_accuser", "open_baker"),
    *("_mavryk_bundle", "_mavryk_stand"),
)
_USED: Final = pytest.StashKey[list[str]]()
"""What the summary says about the executables, where the header could not."""


def pytest_addoption(parser: pytest.Parser) -> None:
    _options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Offer the fixtures, but for those whose names other plugins use."""
    config.add_cleanup(_imports.end)
    _options.configure(config)
    _pool.open_pool(config)
    # Of two plugins with one name the later one would win, by accident; `client` is a common name.
    offered = ModuleType("accuser.pytest fixtures")
    for name in _FIXTURES:
        if not any(_has_fixture(plugin, name) for _, plugin in config.pluginmanager.list_name_plugin()):
            setattr(offered, name, getattr(_fixtures, name))
    config.pluginmanager.register(offered, "accuser.pytest.fixtures")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Have an image that is not available told here, once, and not by each test."""
    _options.check_image(session.config)


def _has_fixture(plugin: object, name: str) -> bool:
    # A conftest's fixtures override those of plugins where it is, and nowhere else.
    if str(getattr(plugin, "__file__", "")).endswith("conftest.py"):
        return False
    return hasattr(getattr(plugin, name, None), "_fixture_function_marker")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    _options.parametrize(metafunc)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Tell the executables, where the configuration says that tests use them."""
    lines = _options.description_of(config) if _options.declared(config) else []
    return [*lines, *_pool.header(config)]


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str]:
    """Tell them otherwise if a test does."""
    if _options.declared(config) or not _use_daemons(items):
        return []
    return _options.description_of(config)


def _use_daemons(items: Sequence[pytest.Item]) -> bool:
    return any("toolchain" in getattr(item, "fixturenames", ()) for item in items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker of pytest-xdist: send home what its tests ran on."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None and not _options.declared(session.config) and _use_daemons(session.items):
        output["mavryk"] = _options.description_of(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    if lines := getattr(node, "workeroutput", {}).get("mavryk"):
        node.config.stash[_USED] = lines


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell it: who collects nothing has no other place to. Then tell what pytest's own lines cut off."""
    for line in (*config.stash.get(_USED, ()), *_pool.summary(config)):
        terminalreporter.write_line(line)
    if cut := list(_lines.cut_off(terminalreporter, config)):
        terminalreporter.write_sep("=", "what the lines below have no room for")
        for line in cut:
            terminalreporter.write_line(line)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the places of the hosts are lent."""
    if (pool := _pool.pool_of(node.config)) is not None:
        node.workerinput[_pool.WORKER_KEY] = pool.address


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test that has daemons on the hosts of the run, if it has some."""
    pool = _pool.pool_of(item.config)
    if pool is None or not _pool.takes_place(item):
        return None
    pool.run(item, nextitem)
    return True


def _may_have_blocks(item: pytest.Item) -> bool:
    """Whether the module of a test has names of this package: then its daemons may come from blocks."""
    for value in vars(getattr(item, "module", None) or object).values():
        if isinstance(value, types.ModuleType):
            home = value.__name__
        elif isinstance(value, type | types.FunctionType):
            home = value.__module__ or ""
        else:
            continue
        if home.partition(".")[0] == "accuser":
            return True
    return False


# First, so that pytest-trio takes what follows the test for the test.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Follow a test that has daemons by fixtures, and raise its one error bare, if it is one."""
    if BUNDLE not in item.stash:
        if not _may_have_blocks(item):
            return (yield)
        from .._unwrap import plain_errors

        # pytest-trio puts the error of a test into a group of its own.
        with plain_errors():
            return (yield)
    from .._unwrap import plain_errors
    from ._prompt import open_prompt

    test = getattr(item, "obj", None)
    if inspect.iscoroutinefunction(test) and not hasattr(test, "hypothesis"):
        followed = item.stash[BUNDLE].story.follow(test, lambda error: open_prompt(item, error))
        item.obj = followed  # type: ignore[attr-defined]  # pytest's own attribute of a function item
    with plain_errors():
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Put in order what a prompt may have left."""
    if BUNDLE in item.stash:
        from ._prompt import give_back

        give_back(item)


# First of the wrappers: they have all had their say about the outcome when this one goes on.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell of a failed test what its daemons did."""
    _pool.note_error(item, call)
    if call.when != "call" or call.excinfo is None:
        return (yield)
    if BUNDLE not in item.stash and not _may_have_blocks(item):
        return (yield)
    from ._failure import Telling

    telling = Telling(item, call.excinfo.value)
    if BUNDLE not in item.stash:
        telling.hide_engine(call)
        report = yield
        telling.shorten(report)
        return report
    with telling.plain(call):
        report = yield
    if report.failed:
        telling.tell(report, item.stash[BUNDLE], item.config.stash[_options.BEGAN_WITH])
    return report
