"""Many seeds: what is done stays done, whoever does it, and however it ends."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from accuser import AccuserError, BinaryNotFound, SpawnFailed
from accuser._engine.interrupt import like_ctrl_c
from accuser._explore import workers
from accuser._explore.examining import Judged, Result
from accuser._explore.reporting import summary
from accuser._explore.results import RESULTS, NoResults, OtherSearch, Results
from accuser._explore.searching import search
from accuser._explore.workers import Workers
from accuser._hosts.proc import read_stat
from accuser.commands import cli
from tests.support.proc import children_of

ACCUSER = (sys.executable, "-m", "accuser", "explore")
FIRST = 716
"""Of some seeds whose networks are small."""


def results(folder: Path, seeds: range) -> Results:
    found = Results(folder, Judged())
    with found.open(resume=False):
        list(search(found, seeds))
    return found


def kept(folder: Path) -> Results:
    """What is in a folder."""
    found = Results(folder, Judged())
    with found.open(resume=True):
        return found


def told(found: Results) -> object:
    return summary(list(found.done.values()))


def test_several_processes_find_the_same(tmp_path: Path) -> None:
    seeds = range(FIRST, FIRST + 6)
    alone, together = results(tmp_path / "alone", seeds), Results(tmp_path / "together", Judged())
    with together.open(resume=False):
        list(search(together, seeds, jobs=2))
    assert told(alone) == told(kept(tmp_path / "together"))
    assert alone.done == together.done


def test_it_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    seeds = range(FIRST, FIRST + 4)
    whole = results(tmp_path / "whole", seeds)
    results(tmp_path / "cut", seeds[:3])
    path = tmp_path / "cut" / RESULTS
    path.write_bytes(path.read_bytes()[:-20])
    cut = Results(tmp_path / "cut", Judged())
    with cut.open(resume=True):
        assert cut.missing(seeds) == list(seeds[2:])
        list(search(cut, seeds))
    assert told(cut) == told(whole)
    assert path.read_bytes() == (tmp_path / "whole" / RESULTS).read_bytes()


def test_results_of_another_accuser_are_left_alone(tmp_path: Path) -> None:
    results(tmp_path, range(FIRST, FIRST + 1))
    before = (tmp_path / RESULTS).read_bytes()
    with pytest.raises(OtherSearch), Results(tmp_path, Judged(protocol="alpha")).open(resume=True):
        pass
    assert (tmp_path / RESULTS).read_bytes() == before


@pytest.mark.parametrize("cut", [0, 5])
def test_nothing_that_was_there_is_lost(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path, 1, 2, 3)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"seed":4'[:cut])
    with Results(tmp_path, Judged()).open(resume=True):
        # As it is where somebody is killed here.
        assert path.read_bytes() == whole
    assert kept(tmp_path).done.keys() == {1, 2, 3}
    with Results(tmp_path, Judged()).open(resume=False):
        # Nothing has come yet that could take its place.
        assert path.read_bytes() == whole


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("text", ["my notes", "my notes\nare here\n", '{"seed": 1}\n', "\n"])
def test_another_file_in_the_place_of_the_results_is_left_alone(
    tmp_path: Path, text: str, resume: bool
) -> None:
    path = tmp_path / RESULTS
    path.write_text(text)
    words = ["explore", "--seeds", "1", "--out", str(tmp_path), *(["--resume"] if resume else [])]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2
    assert f"{path} is no file of results" in " ".join(done.output.split())
    assert path.read_text() == text


def test_a_line_that_is_no_result_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, 1, 2)
    path.write_bytes(path.read_bytes() + b"[]\n")
    with pytest.raises(NoResults, match=r"results.jsonl, line 4: this is no result: "):
        kept(tmp_path)


def written(folder: Path, *seeds: int) -> Path:
    """A file of results."""
    found = Results(folder, Judged())
    with found.open(resume=False):
        for seed in seeds:
            found.add(msgspec.json.encode(Result(seed=seed)))
    return found.path


def test_the_command_reports(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        cli,
        ["explore", "--first", str(FIRST), "--seeds", "3", "--out", str(tmp_path), "--json"],
        standalone_mode=False,
    )
    assert done.exception is None
    report = json.loads(done.output)
    assert report["seeds"] == 3
    assert report["violations"] == []
    assert report["decisions"]["life begun"]["seeds"] == 3
    page = (tmp_path / "explore.html").read_text()
    assert "nothing is violated" in page
    assert "life begun" in page


def test_a_schedule_is_replayed(tmp_path: Path) -> None:
    from accuser.explore import draw

    path = tmp_path / "seed-3.json"
    path.write_bytes(draw(3).to_json())
    words = ["explore", "--replay", str(path), "--out", str(tmp_path)]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert done.exception is None
    assert "nothing is violated" in done.output
    found = json.loads(CliRunner().invoke(cli, [*words, "--json"]).output)
    assert found["violations"] == []
    assert found["decisions"]["life begun"] > 0
    assert found["recording"] == str(tmp_path / "seed-3.recording.jsonl")
    recording = (tmp_path / "seed-3.recording.jsonl").read_text()
    assert '"daemon":"accuser1"' in recording


@pytest.mark.parametrize(
    "words",
    [
        ("--toolchain", "nowhere"),
        ("--toolchain", "image:"),
        ("--protocol", "none"),
        ("--replay", "README.md"),
        ("--replay", "/nowhere/at/all"),
        ("--accuser", sys.executable, "--toolchain", "sandbox"),
    ],
)
def test_wrong_words(words: tuple[str, ...], tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no schedule")
    given = [str(readme) if word == "README.md" else word for word in words]
    done = CliRunner().invoke(cli, ["explore", "--out", str(tmp_path / "out"), *given])
    assert done.exit_code == 2


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--toolchain", "EMPTY"), BinaryNotFound),
        (("--toolchain", "EMPTY", "--jobs", "2"), BinaryNotFound),
        (("--accuser", "BYTES"), SpawnFailed),
        (("--accuser", "NOBODY"), SpawnFailed),
    ],
)
def test_what_cannot_be_started_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], error: type[AccuserError]
) -> None:
    places = {name: tmp_path / name.lower() for name in ("EMPTY", "BYTES", "NOBODY")}
    places["EMPTY"].mkdir()
    places["BYTES"].write_bytes(b"\1\2\3")
    places["NOBODY"].write_text("#!/nowhere/interpreter\n")
    for name in ("BYTES", "NOBODY"):
        places[name].chmod(0o755)
    monkeypatch.delenv("MAVKIT_BIN_DIR", raising=False)
    monkeypatch.setenv("PATH", str(places["EMPTY"]))
    given = [str(places.get(word, word)) for word in words]
    done = CliRunner().invoke(cli, ["explore", "--out", str(tmp_path / "out"), *given], standalone_mode=False)
    assert isinstance(done.exception, error)


@pytest.mark.parametrize(
    ("signum", "jobs", "status"),
    [(signal.SIGINT, 1, 130), (signal.SIGINT, 2, 130), (signal.SIGTERM, 2, 143), (signal.SIGHUP, 1, 129)],
)
def test_what_was_done_survives_a_signal(
    tmp_path: Path, signum: signal.Signals, jobs: int, status: int
) -> None:
    with searching(tmp_path, jobs) as (process, workers):
        process.send_signal(signum)
        assert process.stderr is not None
        errors = process.stderr.read().decode()
        assert process.wait() == status, errors
    assert "Traceback" not in errors
    assert "every daemon was stopped" in errors
    assert not any(map(lives, workers))
    assert len(kept(tmp_path).done) >= 2
    assert (tmp_path / "explore.html").exists()


def test_workers_end_with_whoever_started_them(tmp_path: Path) -> None:
    with searching(tmp_path, 2) as (process, workers):
        process.kill()
        process.wait()
        until(lambda: not any(map(lives, workers)))


def test_a_signal_ends_what_runs_where_ctrl_c_is_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(KeyboardInterrupt), like_ctrl_c(signal.SIGTERM) as heard:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_seeds_of_a_worker_that_dies_are_done_again() -> None:
    with Workers(1, Judged()) as pool:
        lines = pool.examine([[FIRST, FIRST + 1], [FIRST + 2]])
        first = next(lines)
        (worker,) = pool._workers
        worker.process.kill()
        seeds = [msgspec.json.decode(line, type=Result).seed for line in (first, *lines)]
    assert sorted(seeds) == [FIRST, FIRST + 1, FIRST + 2]


def test_workers_that_die_again_and_again_are_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_PROGRAM", "import os; os.kill(os.getpid(), 9)")
    words = ["explore", "--seeds", "4", "--jobs", "2", "--out", str(tmp_path)]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 1
    assert "3 workers died one after the other" in done.output
    assert "killed by SIGKILL" in done.output
    assert "--resume" in done.output


@contextmanager
def searching(folder: Path, jobs: int) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """A search that does not end soon, and has results; and its workers."""
    words = (*ACCUSER, "--first", str(FIRST), "--seeds", "100000", "--jobs", str(jobs), "--out", str(folder))
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        path = folder / RESULTS
        until(lambda: path.exists() and path.read_bytes().count(b"\n") > 2)
        found = children_of(process.pid)
        assert len(found) == (0 if jobs == 1 else jobs)
        yield process, found


def lives(pid: int) -> bool:
    stat = read_stat(str(pid))
    return stat is not None and stat.living


def until(condition: object, seconds: float = 60.0) -> None:
    """Wait for what another process does; it is an error if it does not."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


SCHEDULERS: dict[str, subprocess.Popen[bytes]] = {}


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and workers, each a process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    environment = {**os.environ, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "30s"}
    common = (sys.executable, "-m", "distributed.cli")
    scheduler = (
        *(f"{common[1]}", f"{common[2]}.dask_scheduler", "--host", "127.0.0.1"),
        *("--port", str(port), "--no-dashboard"),
    )
    worker = (
        *(f"{common[1]}", f"{common[2]}.dask_worker", address),
        *(
            "--nthreads",
            "1",
            "--no-nanny",
            "--no-dashboard",
            "--host",
            "127.0.0.1",
        ),
    )
    started: list[subprocess.Popen[bytes]] = []
    try:
        for words in (scheduler, *[worker] * workers):
            started.append(
                subprocess.Popen(
                    (sys.executable, *words),
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
        SCHEDULERS[address] = started[0]
        yield address, started[1:]
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def test_a_cluster_finds_the_same_though_a_worker_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_TEMPORARY_DIRECTORY", str(tmp_path))
    seeds = range(FIRST, FIRST + 9)
    with cluster(3) as (address, workers):
        words = (
            *ACCUSER,
            "--first",
            str(FIRST),
            "--seeds",
            str(len(seeds)),
            "--scheduler",
            address,
            "--out",
            str(tmp_path / "many"),
        )
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            path = tmp_path / "many" / RESULTS
            until(lambda: path.exists() and path.read_bytes().count(b"\n") > 1)
            workers[0].kill()
            assert process.stdout is not None
            output = process.stdout.read()
            assert process.wait() == 0, output.decode()
    many = kept(tmp_path / "many")
    assert many.missing(seeds) == []
    assert told(many) == told(results(tmp_path / "one", seeds))


def test_a_scheduler_without_workers_that_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_TEMPORARY_DIRECTORY", str(tmp_path))
    written(tmp_path, 1)
    with cluster(0) as (address, _), open(tmp_path / "told", "w+b") as told:
        words = (*ACCUSER, "--scheduler", address, "--seeds", "2", "--out", str(tmp_path))
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=told) as process:
            until(lambda: b"has no workers" in (tmp_path / "told").read_bytes())
            assert process.poll() is None
            scheduler = SCHEDULERS[address]
            scheduler.kill()
            scheduler.wait()
            assert process.wait() == 1
    errors = (tmp_path / "told").read_text()
    assert f"the scheduler {address} is gone" in errors
    assert "--resume" in errors
    assert "Traceback" not in errors
    assert kept(tmp_path).done.keys() == {1}


@pytest.mark.parametrize("address", ["nonsense://x", "foo"])
def test_a_cluster_that_is_not_there(tmp_path: Path, address: str) -> None:
    path = written(tmp_path, 1)
    before = path.read_bytes()
    done = CliRunner().invoke(cli, ["explore", "--scheduler", address, "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert f"the scheduler {address} cannot be reached" in done.output
    gc.collect()  # a client that was half made would complain
    assert path.read_bytes() == before
