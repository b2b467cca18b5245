"""Many seeds: what is done stays done, whoever does it, and however it ends."""

from __future__ import annotations

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

import pytest
from click.testing import CliRunner

from accuser._explore.examining import Judged
from accuser._explore.reporting import summary
from accuser._explore.searching import RESULTS, OtherSearch, Results, search
from accuser.commands import cli

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
    alone = results(tmp_path / "alone", range(FIRST, FIRST + 6))
    # In a process of its own, as the pool of it leaves one behind that only ends with it.
    seeds = ("--first", str(FIRST), "--seeds", "6")
    words = (*ACCUSER, *seeds, "--jobs", "2", "--out", str(tmp_path / "together"))
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    together = kept(tmp_path / "together")
    assert told(alone) == told(together)
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
    recording = (tmp_path / "seed-3.recording.jsonl").read_text()
    assert '"daemon":"accuser1"' in recording


@pytest.mark.parametrize(
    "words",
    [
        ("--toolchain", "nowhere"),
        ("--protocol", "none"),
        ("--replay", "README.md"),
        ("--accuser", sys.executable, "--toolchain", "sandbox"),
    ],
)
def test_wrong_words(words: tuple[str, ...], tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no schedule")
    given = [str(readme) if word == "README.md" else word for word in words]
    done = CliRunner().invoke(cli, ["explore", "--out", str(tmp_path / "out"), *given])
    assert done.exit_code == 2


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_was_done_survives_a_ctrl_c(tmp_path: Path, jobs: str) -> None:
    words = (*ACCUSER, "--first", str(FIRST), "--seeds", "100000", "--jobs", jobs, "--out", str(tmp_path))
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        path = tmp_path / RESULTS
        until(lambda: path.exists() and path.read_bytes().count(b"\n") > 2)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        process.stderr.read()
        assert process.wait() == 130
    assert len(kept(tmp_path).done) >= 2
    assert (tmp_path / "explore.html").exists()


def until(condition: object, seconds: float = 60.0) -> None:
    """Wait for what another process does; it is an error if it does not."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


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


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    # In a process of its own, as the client of the cluster leaves a loop behind.
    words = (*ACCUSER, "--scheduler", "nonsense://x", "--out", str(tmp_path))
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
