"""An accuser's numbers for Prometheus, by the names that its conventions ask for.

The numbers are read when they are asked for. The package that writes them down is optional; it is
imported by `Metrics` alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import click

from .._daemons.accuser import Accuser
from .._errors import NotRunning, StatsUnavailable
from .._hosts.usage import Stats
from .._http.server import Answer
from .tally import Tally

if TYPE_CHECKING:
    from prometheus_client import Metric


@attrs.frozen
class Number:
    """One more number."""

    name: str
    text: str
    value: float
    counts: bool = True
    """Whether it only grows."""
    labels: tuple[tuple[str, str], ...] = ()


@attrs.frozen
class Measured:
    """An accuser and what is told of it."""

    accuser: Accuser
    tally: Tally
    about: Mapping[str, str]
    more: Callable[[], Iterable[Number]] = tuple


class Metrics:
    """What ``/metrics`` shows of accusers and of the process that keeps them.

    Where there are several, each number has the label ``protocol``.

    Raises:
        click.ClickException: the package ``prometheus-client`` is not installed.
    """

    def __init__(self, *measured: Measured, more: Callable[[], Iterable[Number]] = tuple) -> None:
        try:
            from prometheus_client import CollectorRegistry, ProcessCollector
        except ModuleNotFoundError as error:
            raise click.ClickException(
                "metrics need prometheus-client; install it with: pip install 'accuser[metrics]'"
            ) from error
        self._measured, self._more = measured, more
        self._stats: list[Stats | None] = [None] * len(measured)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    async def page(self, accepted: str) -> Answer:
        """Give the metrics in the format that the client accepts."""
        from prometheus_client.exposition import choose_encoder

        for place, one in enumerate(self._measured):
            try:
                self._stats[place] = await one.accuser.stats()
            except (NotRunning, StatsUnavailable):
                self._stats[place] = None
        encode, content_type = choose_encoder(accepted)
        return Answer(200, encode(self._registry), content_type)

    def collect(self) -> Iterable[Metric]:
        """The metrics of this moment; the registry asks for them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        several = len(self._measured) > 1
        families: dict[str, Any] = {}
        for one, stats in zip(self._measured, self._stats, strict=True):
            labels = {"protocol": one.about["protocol"]} if several else {}
            family = families.setdefault("", InfoMetricFamily("accuser", "What runs.", labels=list(labels)))
            about = {key: value for key, value in one.about.items() if key not in labels}
            family.add_metric(list(labels.values()), about)
            for number in (*_numbers(one), *one.more(), *_of_process(stats)):
                kind = CounterMetricFamily if number.counts else GaugeMetricFamily
                every = {**labels, **dict(number.labels)}
                family = families.setdefault(
                    number.name, kind(f"accuser_{number.name}", number.text, labels=list(every))
                )
                family.add_metric(list(every.values()), number.value)
        yield from families.values()
        for number in self._more():
            kind = CounterMetricFamily if number.counts else GaugeMetricFamily
            yield kind(f"accuser_{number.name}", number.text, value=number.value)


def _numbers(one: Measured) -> Iterable[Number]:
    accuser, tally = one.accuser, one.tally
    text = "1 if the accuser runs and has said that it is ready, else 0."
    yield Number("up", text, accuser.ready, counts=False)
    yield Number("restarts", "Restarts after unasked exits.", accuser.restarts)
    for name, count in tally.events.items():
        yield Number("events", "Events that the accuser wrote, by name.", count, labels=(("event", name),))
    yield Number("malformed_events", "Pieces of its event stream that were no events.", tally.malformed)
    for kind, count in tally.denunciations.items():
        text = "Denunciations that it injected, by kind."
        yield Number("denunciations", text, count, labels=(("kind", kind),))
    yield Number("blocks_processed", "Blocks that it processed.", tally.blocks)
    yield Number("highest_level", "Highest level of a block that it saw.", tally.level, counts=False)
    text = "Time of its newest event."
    yield Number("last_event_timestamp_seconds", text, tally.last_event, counts=False)


def _of_process(stats: Stats | None) -> Iterable[Number]:
    if stats is None:
        return
    started = round(time.time() - stats.uptime, 1)
    yield Number("process_cpu_seconds", "Processor time of its process group.", stats.cpu_seconds)
    yield Number("process_resident_memory_bytes", "Its memory in RAM.", stats.resident_bytes, counts=False)
    yield Number("process_open_fds", "Its open descriptors.", stats.open_descriptors, counts=False)
    yield Number("process_start_time_seconds", "When its process was started.", started, counts=False)
