"""``accuser explore``: networks drawn from seeds, and judged."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from .._errors import UnknownProtocol
from .._explore.cluster import ClusterUnavailable, search_on
from .._explore.examining import Judged, Result
from .._explore.playing import play
from .._explore.reporting import PAGE, replayed, to_json, write_cases, write_page
from .._explore.results import NoResults, OtherSearch, Results
from .._explore.schedule import Schedule
from .._explore.searching import search
from .._explore.workers import WorkersDie
from .._hosts.selection import (
    DEFAULT_PROTOCOL,
    IMAGE,
    IN_MEMORY,
    INSTALLED,
    PROTOCOLS,
    TOOLCHAINS,
    toolchain_called,
)
from .._hosts.toolchain import SANDBOX
from .._mavryk.protocol import Protocol
from .._text import counted
from .ending import ended_by_signals
from .file_faults import Unreadable, reading, say
from .output import echo

SEEDS: Final = 1000
_VIOLATED: Final = 1


@click.command(
    short_help="Search networks drawn from seeds for violations.",
    epilog="""\b
Examples:
  accuser explore                                   1000 networks
  accuser explore --seeds 10000 --jobs 2            more, in two processes
  accuser explore --seeds 20000 --jobs 2 --resume   go on, after a Ctrl-C too
  accuser explore --accuser ./mavkit-accuser-PtBoreas --seeds 20
  accuser explore --replay explored/seed-7.json""",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=SEEDS,
    show_default=True,
    help="How many networks are played.",
)
@click.option("--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first seed.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="How many networks run at once, each in a process.",
)
@click.option("--resume", is_flag=True, help="Skip seeds whose results are already in --out.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("explored"),
    show_default=True,
    help="A folder for results, report and violations.",
)
@click.option(
    "--scheduler",
    metavar="URL",
    help="Run the seeds on the workers of this Dask scheduler, as in tcp://host:8786.",
)
@click.option(
    "--accuser",
    type=click.Path(exists=True, dir_okay=False, executable=True, path_type=Path),
    help="An accuser's executable, judged as a process in real time.",
)
@click.option(
    "--protocol",
    metavar=PROTOCOLS,
    help=f"Run accusers of this protocol only; by default of all, {DEFAULT_PROTOCOL} with --accuser.",
)
@click.option(
    "--toolchain",
    metavar=TOOLCHAINS,
    help="Whose accusers are judged; the nodes are the sandbox's in any case. By default memory.",
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Play only this schedule: that of a violation, as in explored/seed-7.json.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the report as one JSON object, and nothing else."
)
def explore(
    seeds: int,
    first: int,
    jobs: int,
    resume: bool,
    out: Path,
    scheduler: str | None,
    accuser: Path | None,
    protocol: str | None,
    toolchain: str | None,
    replay: Path | None,
    as_json: bool,
) -> int:
    """Play networks that are drawn from seeds, and judge their accusers by upstream's rules.

    A seed decides everything: nodes and links, who bakes or votes twice, forks, restarts, failures.
    A violation is reduced to few steps and written as a program. The exit status is 1 if
    something is violated.
    """
    judged = _judged(accuser, toolchain, protocol)
    console = Console(highlight=False, soft_wrap=True, quiet=as_json)
    with ended_by_signals():
        if replay is not None:
            return _replay(replay, judged, out, console, as_json=as_json)
        results, wanted = Results(out, judged), range(first, first + seeds)
        try:
            with results.open(resume=resume):
                found = (
                    search(results, wanted, jobs=jobs)
                    if scheduler is None
                    else search_on(scheduler, results, wanted, say)
                )
                # Closed, and with it everything that runs, however this ends.
                with contextlib.closing(found):
                    _follow(found, seeds, seeds - len(results.missing(wanted)), out, console)
        except NoResults as error:
            raise Unreadable(str(error)) from error
        except (OtherSearch, ClusterUnavailable, WorkersDie) as error:
            raise click.ClickException(str(error)) from error
        finally:
            # What was done is reported, however it ended.
            done = [result for seed, result in results.done.items() if seed in wanted]
            if done:
                write_page(out / PAGE, done, _about(judged))
    return _report(done, out, console, as_json=as_json)


def _report(done: list[Result], out: Path, console: Console, *, as_json: bool) -> int:
    if as_json:
        echo(to_json(done))
    bad = [result for result in done if result.violations]
    verdict = (
        f"{len(bad)} of {counted(len(done), 'seed')} violated something"
        if bad
        else f"{counted(len(done), 'seed')}, no violation"
    )
    console.print(Text(f"{verdict}; the report is {out / PAGE}", "bold red" if bad else "bold green"))
    return _VIOLATED if bad else 0


def _judged(accuser: Path | None, toolchain: str | None, protocol: str | None) -> Judged:
    if protocol is None and accuser is not None:
        protocol = DEFAULT_PROTOCOL
    try:
        only = None if protocol is None else Protocol.parse(protocol).tag
    except UnknownProtocol as error:
        raise click.BadParameter(str(error), param_hint="--protocol") from error
    if accuser is not None and toolchain is not None:
        raise click.UsageError("--accuser and --toolchain both say whose accuser it is: give one")
    if accuser is not None:
        return Judged(accuser=str(accuser.absolute()), protocol=only)
    if toolchain in (None, IN_MEMORY):
        return Judged(protocol=only)
    assert toolchain is not None
    try:
        toolchain_called(toolchain)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--toolchain") from error
    if toolchain in (SANDBOX.name, INSTALLED) or toolchain.startswith(IMAGE):
        return Judged(toolchain=toolchain, protocol=only)
    return Judged(bin_dir=str(Path(toolchain).absolute()), protocol=only)


def _about(judged: Judged) -> str:
    if judged.accuser is not None:
        return f"The accuser {judged.accuser}, as a process"
    if judged.bin_dir is not None:
        return f"The accusers in {judged.bin_dir}, as processes"
    if judged.toolchain is not None:
        return f"The accusers of the toolchain {judged.toolchain}, as processes"
    return "The sandbox's accusers, in memory"


def _follow(results: Generator[Result], seeds: int, done: int, out: Path, console: Console) -> None:
    """Show how far it is, and each violation as it comes."""
    columns = (TextColumn("networks"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=seeds, completed=done)
        for result in results:
            progress.advance(task)
            if result.violations:
                paths = write_cases(out, result)
                steps = 0 if result.case is None else len(result.case.schedule.steps)
                text = f"seed {result.seed}: {result.violations[0]}"
                console.print(
                    Text(f"{text}\n  in {counted(steps, 'step')}: {paths[1] if paths else out}", "red")
                )


def _replay(path: Path, judged: Judged, out: Path, console: Console, *, as_json: bool) -> int:
    with reading(path):
        content = path.read_bytes()
    try:
        schedule = Schedule.from_json(content)
    except ValueError as error:
        raise Unreadable(f"{path}: {error}") from error
    executable = judged.executable()
    outcome = play(schedule, executable)
    out.mkdir(parents=True, exist_ok=True)
    recording = out / f"{path.stem}.recording.jsonl"
    recording.write_bytes(outcome.recording)
    if as_json:
        echo(replayed(outcome, recording))
    for violation in outcome.violations:
        console.print(Text(violation, "red"))
    if not outcome.violations:
        console.print(Text("nothing is violated", "bold green"))
    console.print(f"the recording is {recording}: accuser timeline {recording}")
    return _VIOLATED if outcome.violations else 0
