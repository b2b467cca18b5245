"""What is installed: the wheel and the source distribution, and the extras' absence.

The session ``build`` of the noxfile tries both in empty environments (``tests/tools/installed.py``).
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def sources(folder: str) -> set[str]:
    """Every file of a folder of the project that is no by-product."""
    paths = (ROOT / folder).rglob("*")
    return {
        str(path.relative_to(ROOT))
        for path in paths
        if path.is_file() and "__pycache__" not in path.parts and "_build" not in path.parts
    }


def build(tmp_path: Path, kind: str) -> Path:
    """Build an archive with the build backend itself, which needs no environment of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.iterdir()
    return archive


def test_the_wheel_has_every_file_of_the_package(tmp_path: Path) -> None:
    with zipfile.ZipFile(build(tmp_path, "wheel")) as wheel:
        names = {name for name in wheel.namelist() if not name.startswith("accuser-0")}
        metadata = wheel.read(next(name for name in wheel.namelist() if name.endswith("/METADATA"))).decode()
    assert names == sources("accuser")
    assert {"accuser/py.typed", "accuser/_hosts/remote/keeper.sh", "accuser/_mavryk/data/atlas.json"} <= names
    for extra in ("sandbox", "cli", "pytest"):
        assert f"Provides-Extra: {extra}\n" in metadata


def test_the_source_distribution_has_what_tests_and_documents_need(tmp_path: Path) -> None:
    with tarfile.open(build(tmp_path, "sdist")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("accuser", "benchmarks", "docs", "news", "tests"):
        assert sources(folder) <= names, folder
    assert {"pyproject.toml", "noxfile.py", "run.py", "README.md", "LICENSE", "CONTRIBUTING.md"} <= names


def test_what_the_sessions_run_is_there() -> None:
    tree = ast.parse((ROOT / "noxfile.py").read_text())
    named = {
        "/".join(str(part.value) for part in node.args if isinstance(part, ast.Constant))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Path" and len(node.args) > 1
    }
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    for text in (text for text in texts if isinstance(text, str)):
        if re.fullmatch(r"(tests|benchmarks)(\.\w+)+", text):
            named.add(text.replace(".", "/"))
        elif re.fullmatch(r"(tests|benchmarks|docs)/[\w/]+\.\w+", text):
            named.add(text)
    assert len(named) > 15
    assert {name for name in named if not list(ROOT.glob(f"{name}*"))} == set()


def test_every_dependency_has_a_floor_and_optional_ones_are_extras() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for requirement in (*project["dependencies"], *(one for extra in extras.values() for one in extra)):
        assert ">=" in requirement, requirement


def test_the_sandbox_without_its_extra_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['cryptography'] = None\n")
    main = ROOT / "accuser" / "sandbox" / "__main__.py"
    done = subprocess.run(
        [sys.executable, str(main), *f"mavkit-node identity generate --data-dir {tmp_path}/n 0".split()],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    advice = "The sandbox's mavkit-node needs cryptography; install it with: pip install 'accuser[sandbox]'\n"
    assert done.stderr.endswith(advice)
