"""Which executables the plugin chooses, and what it says of them."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from accuser import Protocol
from accuser._hosts import selection
from accuser.pytest import _options
from accuser.pytest._choice import choose, description
from tests.support.projects import PLUGIN, Project, project

__all__ = ["project"]  # a fixture of this module

MARKED = """\
import pytest

pytestmark = pytest.mark.mavryk(protocols=["atlas", "alpha"], toolchains=["sandbox", "mavkit"])


def test_plain():
    pass


def test_marked(toolchain, protocol):
    assert toolchain.is_sandbox == (toolchain.name == "sandbox")


@pytest.mark.mavryk(toolchains=["mavkit"])
def test_real(toolchain, protocol):
    assert (toolchain.name, protocol.tag) == ("mavkit", "boreas")
"""


def test_the_marker_multiplies_tests(project: Project, tmp_path: Path) -> None:
    project.write(test_marked=MARKED)
    ended = project.pytest("-rs", "-v")
    ended.count(passed=3, skipped=3)
    assert ended.output.count("needs the real binaries: --mavkit DIR") >= 1
    assert "test_marked.py::test_marked[sandbox-alpha] PASSED" in ended.output.replace("[atlas-", "[")

    mavkit = executables(tmp_path, Protocol.BOREAS, Protocol.ATLAS)
    ended = project.pytest("-rs", f"--mavkit={mavkit}")
    ended.count(passed=5, skipped=1)
    assert f"no mavkit-accuser-alpha in mavkit in {mavkit}" in ended.output

    ended = project.pytest("-rs", "--mavryk-protocol=boreas")
    assert "not for --mavryk-protocol boreas" in ended.output
    ended = project.pytest("-v", "--mavryk-protocol=alpha", "-k", "test_marked")
    assert "alpha" in ended.output
    assert "atlas" not in ended.output


MARKERS = {
    "import pytest\n@pytest.mark.mavryk(protocols=['babylon'])\ndef test(protocol): pass": (
        "unknown protocol 'babylon'"
    ),
    "import pytest\n@pytest.mark.mavryk(toolchains=['octez'])\ndef test(toolchain): pass": (
        "a toolchain is 'memory', 'sandbox' or 'mavkit', not 'octez'"
    ),
    "import pytest\n@pytest.mark.mavryk(protocol='alpha')\ndef test(): pass": (
        "the marker is mavryk(protocols=[...], toolchains=[...])"
    ),
}


@pytest.mark.parametrize(
    ("arguments", "text", "said"),
    [
        (("--mavkit=/no/such",), "", "--mavkit /no/such: '/no/such' is neither 'sandbox' nor 'memory' nor"),
        (("--mavryk-protocol=babylon",), "def test(protocol): pass", "unknown protocol 'babylon'"),
        (("-o", "trio_mode=false"), "async def test(node): pass", "are for asynchronous tests under pytest"),
        ((), "def test(node): pass", "are for asynchronous tests under pytest-trio: write `async def`"),
        (("-p", "no:trio"), "async def test(node): pass", "need pytest-trio: pip install 'accuser[pytest]'"),
    ],
)
def test_what_is_wrong_is_said(project: Project, arguments: tuple[str, ...], text: str, said: str) -> None:
    project.write(test_wrong=text)
    ended = project.pytest(*arguments)
    assert ended.status != 0
    assert said in ended.output


def test_wrong_markers_are_told_each_with_its_file(project: Project) -> None:
    project.write(**{f"test_wrong_{number}": text for number, text in enumerate(MARKERS)})
    ended = project.pytest("--continue-on-collection-errors")
    assert ended.status != 0
    for number, said in enumerate(MARKERS.values()):
        assert said in ended.output
        assert f"ERROR test_wrong_{number}.py" in ended.output


def executables(folder: Path, *protocols: Protocol) -> Path:
    """A folder with programs that have the names of Mavkit's."""
    place = folder / "mavkit"
    place.mkdir()
    for name in ("mavkit-node", "mavkit-client", *(protocol.accuser_binary for protocol in protocols)):
        (place / name).write_text("#!/bin/sh\necho 1234abcd '(21.3)'\n")
        (place / name).chmod(0o755)
    return place


def test_the_plugin_and_the_commands_take_the_same_words(tmp_path: Path) -> None:
    for word in ("sandbox", "installed", str(tmp_path)):
        chosen = choose(word, [Protocol.BOREAS])
        assert chosen.toolchain == selection.toolchain_called(word)
        assert chosen.mavkit == (None if word == "sandbox" else chosen.toolchain)
    assert _options.DEFAULT_PROTOCOL == selection.DEFAULT_PROTOCOL


def test_an_option_that_is_empty_is_as_none(project: Project) -> None:
    project.write(test_chosen="def test(toolchain): assert toolchain.is_sandbox")
    assert (
        "mavryk: sandbox in this process (chosen)"
        in project.pytest("--mavkit=", "-o", "mavkit=memory").output
    )
    assert "mavryk: sandbox (auto: " in project.pytest("--mavkit=", "-o", "mavkit=").output


def test_what_is_installed_is_found_and_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = executables(tmp_path, Protocol.BOREAS)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("MAVKIT_BIN_DIR", raising=False)
    assert choose("auto", [Protocol.BOREAS]).toolchain.is_sandbox
    monkeypatch.setenv("MAVKIT_BIN_DIR", str(place))
    choice = choose("auto", [Protocol.BOREAS])
    assert str(choice) == "mavkit (auto: found in MAVKIT_BIN_DIR or PATH)"
    first, *rest = description(choice, [Protocol.BOREAS])
    assert first == "mavryk: mavkit (auto: found in MAVKIT_BIN_DIR or PATH), boreas"
    digest = hashlib.sha256((place / "mavkit-node").read_bytes()).hexdigest()[:12]
    assert rest == [
        f"  {name} 1234abcd (21.3): {place / name} sha256 {digest}"
        for name in ("mavkit-node", "mavkit-client", "mavkit-accuser-PtBoreas")
    ]
    # One that is missing is not made up for by the sandbox's.
    assert (
        str(choose("auto", [Protocol.ALPHA]))
        == "sandbox (auto: no mavkit-accuser-alpha in MAVKIT_BIN_DIR and PATH)"
    )
    assert choose("sandbox", [Protocol.BOREAS]).mavkit is None
    assert "  mavkit-accuser-alpha: not found" in description(
        choose(str(place), [Protocol.ALPHA]), [Protocol.ALPHA]
    )


def test_the_header_tells_what_was_chosen(project: Project) -> None:
    project.write(test_nothing="def test(): pass")
    assert "mavryk:" not in project.pytest().output
    ended = project.pytest("--mavkit=sandbox", "--mavryk-protocol=alpha")
    assert ended.lines.index("mavryk: sandbox (chosen), alpha") < ended.lines.index("collected 1 item")


OTHER_PLUGIN = """\
import pytest


@pytest.fixture
def client():
    return "of the other plugin"
"""


OTHER_TESTS = """\
import sys


def test_client(client):
    assert client == "of the other plugin"
    loaded = {name for name in sys.modules if name.startswith("accuser.")}
    assert not [name for name in loaded if not name.startswith("accuser.pytest")], loaded
    assert "trio" not in sys.modules


def test_node(node):
    assert node == "of the conftest"
"""


@pytest.mark.parametrize("first", [True, False])
def test_suites_that_do_not_use_it_are_left_alone(project: Project, first: bool) -> None:
    conftest = "import pytest\n\n\n@pytest.fixture\ndef node():\n    return 'of the conftest'\n"
    project.write(other_plugin=OTHER_PLUGIN, conftest=conftest, test_other=OTHER_TESTS)
    plugins = ["-p", "other_plugin", "-p", PLUGIN]
    others = [word for name in ("trio", "anyio", "hypothesispytest") for word in ("-p", f"no:{name}")]
    # Not forked: there this package is loaded already.
    ended = project.run(
        *(sys.executable, "-m", "pytest", *others, "-o", "trio_mode="),
        *("-W", "ignore::pytest.PytestConfigWarning"),
        *(plugins if first else plugins[2:] + plugins[:2]),
    )
    ended.count(passed=2)
    assert "mavryk" not in ended.output
    assert "unrecognized arguments: --mavkit" in project.pytest("-p", f"no:{PLUGIN}", "--mavkit=auto").output
