"""Sessions of this project: ``python3 run.py SESSION``, or ``nox -s SESSION`` with a nox at hand."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"  # 2025.2.9: dependency groups that include others
nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = True

PROJECT = nox.project.load_toml("pyproject.toml")
# Tests wait more than they compute, so two processors take four of them. The slowest are named at the end.
PARALLEL = ["-n", "4", "--dist", "worksteal", "--durations", "20"]
# Some container images forbid bytecode. Then each of hundreds of programs would compile what it imports.
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}
ARCHIVES = ["whl", "tar.gz"]
EXTRAS = ["none", "sandbox", "cli", "sandbox,cli", "metrics", "explore", "pytest"]


@nox.session
def demo(session: nox.Session) -> None:
    """Run the flagship scenario on the sandbox; arguments go to ``accuser demo``."""
    session.install("-q", ".[sandbox,cli]")
    session.run("accuser", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite in four processes at once; arguments replace that and go to pytest."""
    # What is imported of it is compiled then, which is little: to compile all takes as long as to install it.
    group = nox.project.dependency_groups(PROJECT, "test")
    session.install("-q", "--no-compile", ".[sandbox,cli,metrics]", *group)
    session.run("pytest", *(session.posargs or PARALLEL), env=COMPILED)


# The same with each Python that the package declares: `tests-3.11`, `tests-3.12`, ...
for _version in nox.project.python_versions(PROJECT):
    nox.session(name=f"tests-{_version}", python=_version)(tests.func)


@nox.session
def nightly(session: nox.Session) -> None:
    """Run the property tests with ten thousand examples each, and 20,000 mangled recordings; time steps."""
    session.install("-q", ".[sandbox,cli,metrics]", *nox.project.dependency_groups(PROJECT, "test"))
    env = {"HYPOTHESIS_PROFILE": "nightly"}
    tests = (
        "tests/stream/test_properties.py",
        "tests/stream/test_steps.py",
        "tests/recording/test_mangled.py",
    )
    session.run("pytest", *tests, "-o", "faulthandler_timeout=0", *session.posargs, env=env)
    session.run("python", "-m", "tests.tools.step_times")


def _run_tool(session: nox.Session, module: str, extras: str = "sandbox") -> None:
    """Run a module of the tests as a program, with the arguments of the session."""
    session.install("-q", f".[{extras}]", *nox.project.dependency_groups(PROJECT, "test"))
    session.run("python", "-m", module, *session.posargs)


@nox.session
def mutation(session: nox.Session) -> None:
    """Change each decision of the accuser's algorithm; arguments go to ``tests/tools/mutate.py``."""
    _run_tool(session, "tests.tools.mutate")


@nox.session
def forging(session: nox.Session) -> None:
    """Compare random operations with taquito's forger; needs node and npm."""
    session.install("-q", ".[sandbox]")
    session.run("python", "-m", "tests.support.taquito", *session.posargs)


@nox.session
def strangers(session: nox.Session) -> None:
    """Let pymavryk and taquito use a sandbox node; needs node and npm."""
    session.install("-q", ".[sandbox,cli]", "pymavryk==3.14.*")
    session.run("python", "-m", "tests.tools.strangers", *session.posargs)


@nox.session
def explored_mutants(session: nox.Session) -> None:
    """Let ``accuser explore`` look for faults put into the accuser, and print which it finds, and when."""
    _run_tool(session, "tests.tools.explored_mutants")


@nox.session
def explored_pythons(session: nox.Session) -> None:
    """Compare the recordings of 500 seeds, or of ``-- --seeds N``, on the declared Pythons that are here."""
    hashes = {}
    for version in nox.project.python_versions(PROJECT):
        python = f"python{version}"
        # A shim of pyenv may be there without the Python behind it.
        found = shutil.which(python)
        if found is None or subprocess.run((found, "-c", ""), check=False, capture_output=True).returncode:
            session.log(f"{python} is not here")
            continue
        folder = Path(session.create_tmp(), python)
        session.run(found, "-m", "venv", str(folder), external=True)
        inside = str(folder / "bin" / "python")
        session.run(inside, "-m", "pip", "install", "-q", ".[sandbox]", external=True)
        words = (inside, "-m", "tests.tools.explored_hash", *session.posargs)
        hashes[python] = str(session.run(*words, external=True, silent=True)).split()[-1]
        session.log(f"{python}: {hashes[python]}")
    if len(hashes) < 2:
        session.error("there is nothing to compare: two of the Pythons are needed")
    if len(set(hashes.values())) > 1:
        session.error("the recordings differ")


@nox.session
def soak(session: nox.Session) -> None:
    """Meet 500 faults drawn at random; arguments go to ``tests/tools/soak.py``."""
    _run_tool(session, "tests.tools.soak")


@nox.session
def orphans(session: nox.Session) -> None:
    """Kill 200 owners of containers at random moments; arguments go to ``tests/tools/orphans.py``."""
    _run_tool(session, "tests.tools.orphans")


@nox.session
def images(session: nox.Session) -> None:
    """Run every scenario and its twin by an image, in containers; arguments are names of scenarios."""
    _run_tool(session, "tests.tools.image_scenarios")


@nox.session
def sweep(session: nox.Session) -> None:
    """Interrupt and kill an owner at 500 lines each; arguments go to ``tests/tools/sweep.py``."""
    _run_tool(session, "tests.tools.sweep")


@nox.session
def forks(session: nox.Session) -> None:
    """Kill the server that forks 200 times, at random moments; arguments go to ``tests/tools/forks.py``."""
    _run_tool(session, "tests.tools.forks")


@nox.session
def lifecycle(session: nox.Session) -> None:
    """Run the tests of a daemon's life 20 times, executed and forked; an argument says how often."""
    _run_tool(session, "tests.tools.lifecycle", "sandbox,cli")


@nox.session
def abuse(session: nox.Session) -> None:
    """Abuse ``accuser run`` for 15 minutes; arguments go to ``tests/tools/abuse.py``."""
    _run_tool(session, "tests.tools.abuse", "sandbox,cli,metrics")


@nox.session
def scenarios(session: nox.Session) -> None:
    """Run every scenario and its twin in both forms, and write the table of the docs."""
    session.install("-q", ".[sandbox]")
    session.run("python", "-m", "tests.tools.scenario_table", *session.posargs)


@nox.session
def recordings(session: nox.Session) -> None:
    """Compare recordings of each scenario in both forms five times; ``-- --burners 2`` beside other work."""
    _run_tool(session, "tests.tools.same_recordings")


@nox.session
def failures(session: nox.Session) -> None:
    """Run tests that fail, and write what they print into the docs."""
    _run_tool(session, "tests.tools.failing_tests")


@nox.session
def openapi(session: nox.Session) -> None:
    """Judge a sandbox node by upstream's specifications in DIR, and write the table of the docs."""
    _run_tool(session, "tests.tools.openapi")


@nox.session
def endurance(session: nox.Session) -> None:
    """Keep an accuser running beside a node that is killed; arguments go to ``tests/tools/endurance.py``."""
    _run_tool(session, "tests.tools.endurance", "sandbox,cli,metrics")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, the rules of asynchronous code, and which package imports which."""
    session.install("-q", *nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "check", "--preview", "--select", "RUF029")
    session.run("ruff", "format", "--check")
    session.run("lint-imports")
    # 100, 124: of ruff. 109: a time-out is part of the interface. 114, 128: `started` is called in another
    # module. 300: of asyncio. 900 to 913 want a checkpoint on every path, which single reads from a buffer
    # need not.
    numbers = (100, 109, 114, 124, 128, 300, 900, 910, 911, 912, 913)
    disabled = ",".join(f"ASYNC{number}" for number in numbers)
    # In two processes, and only where anything is asynchronous: it takes longer than everything else here. A
    # seventh of that is to look for `noqa`, which few files have.
    files = "grep -rlE 'async|trio' --include='*.py' accuser tests | xargs grep"
    look = f"xargs -P2 -n40 flake8-async --disable={disabled}"
    words = f"{files} -L noqa | {look} --disable-noqa && {files} -l noqa | {look}"
    session.run("sh", "-c", words, external=True)


@nox.session
def types(session: nox.Session) -> None:
    """Check the types, strictly, and that all public ones are known to whoever uses the package."""
    session.install("-q", "nox", ".[sandbox,cli,metrics]", *nox.project.dependency_groups(PROJECT, "types"))
    session.run("mypy")
    # What comes back from waits, which users of either checker are to see.
    session.run("pyright", "tests/types")
    # Types of pytest and rich are known as far as those tell them.
    session.run("pyright", "--verifytypes", "accuser", "--ignoreexternal")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documents as HTML, into ``docs/_build/html``; a warning is an error."""
    session.install("-q", ".[sandbox,cli,pytest,explore]", *nox.project.dependency_groups(PROJECT, "docs"))
    options = ("-E", "-W", "--keep-going", "-b", "html", *session.posargs)
    session.run("sphinx-build", *options, "docs", "docs/_build/html")


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel and the source distribution, and try each with each extra alone."""
    session.install("-q", "build")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", "dist", silent=True)
    for archive in ARCHIVES:
        for extra in EXTRAS:
            session.notify(f"installed({archive}, {extra})")


@nox.session(reuse_venv=False)
@nox.parametrize("extra", EXTRAS, ids=EXTRAS)
@nox.parametrize("archive", ARCHIVES, ids=ARCHIVES)
def installed(session: nox.Session, archive: str, extra: str) -> None:
    """Try what `build` has built, in an environment that has nothing else."""
    (path,) = Path("dist").absolute().glob(f"accuser-*.{archive}")
    script = Path("tests", "tools", "installed.py").absolute()
    session.install("-q", str(path) if extra == "none" else f"{path}[{extra}]")
    session.chdir(session.create_tmp())
    session.run("python", "-P", str(script), extra, env={"PYTHONPATH": None})


@nox.session
def bench(session: nox.Session) -> None:
    """Measure the package against floors and print the table; arguments go to ``benchmarks/run.py``.

    With ``--peers`` against others at the same work, which are installed for this alone.
    """
    peers = ("mirakuru", "pyln-testing", "pytest-xprocess") if "--peers" in session.posargs else ()
    session.install("-q", ".[sandbox,pytest]", *peers)  # pytest: what makes the image is of the tests
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session
def screenshots(session: nox.Session) -> None:
    """Take the pictures of the documents anew, in a headless Chromium; measure a page of 100,000 entries."""
    _run_tool(session, "tests.tools.screenshots", "sandbox,cli")
