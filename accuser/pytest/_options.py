"""The options, the marker, and what follows from them for a run or a test."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from .._mavryk.protocol import Protocol
    from ._choice import Choice

MARKER: Final = (
    "mavryk(protocols=[...], toolchains=[...]): run the test with each of these protocols, and on each "
    "of these toolchains: 'memory', 'sandbox', 'mavkit'"
)
DEFAULT_PROTOCOL: Final = "boreas"
"""That of the commands, which is not imported here: a run without daemons is to load nothing of them."""
NEEDS_MAVKIT: Final = "needs the real binaries: --mavkit DIR"

_CHOICE: Final = pytest.StashKey["Choice"]()
_DESCRIPTION: Final = pytest.StashKey[list[str]]()
BEGAN_WITH: Final = pytest.StashKey[Mapping[str, str]]()
"""The environment when pytest began."""


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("mavryk", "Mavryk daemons")
    text = "executables of the daemons: auto (installed, else sandbox), installed, DIR, image:REF, "
    text += "sandbox, or memory"
    group.addoption("--mavkit", metavar="auto|installed|DIR|image:REF|sandbox|memory", help=text)
    parser.addini("mavkit", f"{text}; by default auto", default="")
    text = "TOML file of the hosts that tests take places on"
    group.addoption("--mavkit-hosts", metavar="FILE", help=text)
    parser.addini("mavkit_hosts", text, default="")
    text = "protocol of the daemons"
    group.addoption("--mavryk-protocol", metavar="NAME", help=f"{text}; marked tests run with it alone")
    parser.addini("mavryk_protocol", f"{text}; by default {DEFAULT_PROTOCOL}", default=DEFAULT_PROTOCOL)
    text = "where the failure bundles go; by default where tmp_path is"
    group.addoption("--mavryk-bundles", metavar="DIR", help=text)
    parser.addini("mavryk_bundles", text, default="")


def configure(config: pytest.Config) -> None:
    """Check the options, and say what the marker is."""
    config.addinivalue_line("markers", MARKER)
    config.stash[BEGAN_WITH] = dict(os.environ)
    if config.getoption("--mavkit"):
        choice_of(config)


def declared(config: pytest.Config) -> bool:
    """Whether the command line or the configuration says which executables to use."""
    return bool(config.getoption("--mavkit") or config.getini("mavkit"))


def choice_of(config: pytest.Config) -> Choice:
    """The executables of this run. Raises `pytest.UsageError`."""
    if (choice := config.stash.get(_CHOICE, None)) is None:
        from ._choice import choose

        wanted = config.getoption("--mavkit") or config.getini("mavkit") or "auto"
        choice = config.stash[_CHOICE] = choose(wanted, [protocol_of(config)])
    return choice


def description_of(config: pytest.Config) -> list[str]:
    """Lines about the executables of this run, read once. Raises `pytest.UsageError`."""
    if (lines := config.stash.get(_DESCRIPTION, None)) is None:
        from ._choice import description

        lines = config.stash[_DESCRIPTION] = description(choice_of(config), [protocol_of(config)])
    return lines


def check_image(config: pytest.Config) -> None:
    """See that the image of this run, if it has one, is available. Raises `pytest.UsageError`."""
    # Workers of pytest-xdist begin after the process that started them.
    if hasattr(config, "workerinput") or not declared(config):
        return
    chosen = choice_of(config).toolchain
    if chosen.host is not None and not chosen.is_sandbox:
        description_of(config)


def protocol_of(config: pytest.Config) -> Protocol:
    """The protocol of tests that do not say another one. Raises `pytest.UsageError`."""
    return parse_protocol(config.getoption("--mavryk-protocol") or config.getini("mavryk_protocol"))


def hosts_of(config: pytest.Config) -> Path | None:
    """The file of the hosts, if one was named."""
    return _path(config, "--mavkit-hosts", "mavkit_hosts")


def bundles_of(config: pytest.Config) -> Path | None:
    """Where failure bundles go, if it was said."""
    return _path(config, "--mavryk-bundles", "mavryk_bundles")


def _path(config: pytest.Config, option: str, name: str) -> Path | None:
    if given := config.getoption(option):
        return Path(given).absolute()
    setting = config.getini(name)
    return config.rootpath / setting if setting else None


def parse_protocol(value: Any) -> Protocol:
    """A protocol, or what it is called. Raises `pytest.UsageError`."""
    from .._errors import UnknownProtocol
    from .._mavryk.protocol import Protocol

    try:
        return value if isinstance(value, Protocol) else Protocol.parse(str(value))
    except UnknownProtocol as error:
        raise pytest.UsageError(str(error)) from error


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Multiply a test by what its marker says. Raises `pytest.UsageError`."""
    marker = metafunc.definition.get_closest_marker("mavryk")
    if marker is None:
        return
    unknown = marker.kwargs.keys() - {"protocols", "toolchains"}
    if marker.args or unknown:
        raise pytest.UsageError(f"{metafunc.definition.nodeid}: the marker is {MARKER}")
    toolchains = marker.kwargs.get("toolchains", ())
    if wrong := [name for name in toolchains if name not in ("memory", "sandbox", "mavkit")]:
        raise pytest.UsageError(
            f"{metafunc.definition.nodeid}: a toolchain is 'memory', 'sandbox' or 'mavkit', not {wrong[0]!r}"
        )
    if toolchains and "toolchain" in metafunc.fixturenames:
        metafunc.parametrize("toolchain", toolchains, indirect=True)
    protocols = [parse_protocol(value) for value in marker.kwargs.get("protocols", ())]
    if protocols and "protocol" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--mavryk-protocol")
        skip = () if not wanted else (pytest.mark.skip(reason=f"not for --mavryk-protocol {wanted}"),)
        chosen = [one for one in protocols if not wanted or one is parse_protocol(wanted)]
        params = [pytest.param(one, id=one.tag) for one in chosen]
        # One that is skipped is seen; a test without any parameter set would be too, but not say why.
        params = params or [pytest.param(protocols[0], id=protocols[0].tag, marks=skip)]
        metafunc.parametrize("protocol", params, indirect=True)
