"""What the plugin says where pytest or its other plugins are not as it needs them; secrets; the prompt."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from accuser._mavryk.codec.base58 import Kind, encode
from tests.support.projects import Project, project

__all__ = ["project"]  # a fixture of this module

TEST = "async def test_it(node):\n    assert node.level == 1\n"

# Stands in for plugins that are not installed here: what matters is their setting.
AUTO = """\
def pytest_addoption(parser):
    parser.addini("{name}_mode", "", default="strict")
"""


@pytest.mark.parametrize("name", ["asyncio", "anyio"])
def test_the_auto_mode_of_another_plugin_is_told(project: Project, name: str) -> None:
    project.write(conftest=AUTO.format(name=name), test_it=TEST)
    project.configure(f"{name}_mode = auto")
    ended = project.pytest("--mavkit", "memory", "-p", "no:anyio", "-p", "no:asyncio")
    ended.count(errors=1) if "errors" in ended.lines[-1] else ended.count(error=1)
    assert f"set `{name}_mode = strict` in pytest's configuration" in ended.output
    assert "RunContext" not in ended.output


REWRITTEN = """
import sys

def rewritten(name):
    return "rewrite" in type(sys.modules[name].__loader__).__module__

async def test_it(node):
    assert rewritten(__name__)
    assert "accuser._daemons.node" in sys.modules
    ours = {name for name in sys.modules if name.startswith("accuser.") and rewritten(name)}
    assert ours <= {"accuser.pytest", "accuser.pytest._imports"}

def test_finders():
    assert [type(finder).__name__ for finder in sys.meta_path].count("_AsWritten") == 1
"""


def test_pytest_does_not_rewrite_this_package(project: Project) -> None:
    project.write(test_it=REWRITTEN)
    # Executed: in a pytest that is forked nothing of the package is left to be imported.
    ended = project.run(sys.executable, "-m", "pytest", "--mavkit", "memory")
    ended.count(passed=2)


def test_without_temporary_folders(project: Project) -> None:
    project.write(test_it=TEST)
    ended = project.pytest("--mavkit", "memory", "-p", "no:tmpdir")
    assert ended.status == 1
    assert "leave `-p no:tmpdir` out" in ended.output


def test_pytest_trio_by_another_name(project: Project) -> None:
    project.write(test_it=TEST)
    project.pytest("--mavkit", "memory", "-p", "no:trio", "-p", "pytest_trio.plugin").count(passed=1)


KEY = encode(Kind.ED25519_SEED, bytes(range(1, 33)))

SECRET = f"""\
import os
import pytest

async def test_it(node, client):
    await client.import_secret_key("bob", "{KEY}")
    os.environ["NEW_TOKEN"] = "letmein-letmein"
    await client.command("transfer", "{KEY}", "letmein-letmein", "http://me:sesame-open@host/")
"""


def test_a_secret_is_in_no_bundle_and_no_report(project: Project) -> None:
    project.write(test_it=SECRET)
    ended = project.pytest("--mavkit", "memory", "--mavryk-bundles", "kept", "-vv", DB_PASS="correct-horse")
    ended.count(failed=1)
    (bundle,) = (project.folder / "kept").iterdir()
    files = [path for path in bundle.rglob("*") if path.is_file()]
    texts = {path.name: path.read_bytes().decode() for path in files}
    assert {"run.jsonl", "report.txt", "environment.txt", "timeline.html"} <= texts.keys()
    for name, text in (*texts.items(), ("printed", ended.output)):
        for secret in (KEY, "letmein-letmein", "correct-horse", "sesame-open"):
            assert secret not in text, name
    assert "(not shown)" in texts["run.jsonl"]
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


PROMPT = """\
async def test_it(node):
    begun = "here"
    assert node.level == 5
"""


def test_daemons_live_while_the_prompt_is_open(project: Project, tmp_path: Path) -> None:
    project.write(test_it=PROMPT)
    typed = tmp_path / "typed"
    typed.write_text("p begun, node.running\nc\n")
    command = f"{_python()} -m pytest --mavkit memory --pdb < {typed}"
    ended = project.run("sh", "-c", command)
    assert ended.output.count("entering PDB") == 1
    assert "('here', True)" in ended.output
    ended.count(failed=1)
    assert "exit status 127, after SIGTERM from here" in ended.output


def _python() -> str:
    import sys

    return sys.executable
