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


class Metrics:
    """What ``/metrics`` shows of one accuser and of the process that keeps it.

    Raises:
        click.ClickException: the package ``prometheus-client`` is not installed.
    """

    def __init__(
        self,
        accuser: Accuser,
        tally: Tally,
        about: Mapping[str, str],
        more: Callable[[], Iterable[Number]] = tuple,
    ) -> None:
        try:
            from prometheus_client import CollectorRegistry, ProcessCollector
        except ModuleNotFoundError as error:
            raise click.ClickException(
                "metrics need prometheus-client; install it with: pip install 'accuser[metrics]'"
            ) from error
        self._accuser, self._tally, self._about, self._more = accuser, tally, about, more
        self._stats: Stats | None = None
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    async def page(self, accepted: str) -> Answer:
        """Give the metrics in the format that the client accepts."""
        from prometheus_client.exposition import choose_encoder

        try:
            self._stats = await self._accuser.stats()
        except (NotRunning, StatsUnavailable):
            self._stats = None
        encode, content_type = choose_encoder(accepted)
        return Answer(200, encode(self._registry), content_type)

    def collect(self) -> Iterable[Metric]:
        """The metrics of this moment; the registry asks for them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        accuser, tally = self._accuser, self._tally

        def counter(name: str, text: str, value: float) -> Metric:
            return CounterMetricFamily(f"accuser_{name}", text, value=value)

        def gauge(name: str, text: str, value: float) -> Metric:
            return GaugeMetricFamily(f"accuser_{name}", text, value=value)

        def counters(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
            family: Any = CounterMetricFamily(f"accuser_{name}", text, labels=[label])
            for key, value in values.items():
                family.add_metric([key], value)
            return family  # type: ignore[no-any-return]

        yield InfoMetricFamily("accuser", "What runs.", value=dict(self._about))
        yield gauge("up", "1 if the accuser runs and has said that it is ready, else 0.", accuser.ready)
        yield counter("restarts", "Restarts after unasked exits.", accuser.restarts)
        yield counters("events", "Events that the accuser wrote, by name.", "event", tally.events)
        yield counter("malformed_events", "Pieces of its event stream that were no events.", tally.malformed)
        yield counters(
            "denunciations", "Denunciations that it injected, by kind.", "kind", tally.denunciations
        )
        yield counter("blocks_processed", "Blocks that it processed.", tally.blocks)
        yield gauge("highest_level", "Highest level of a block that it saw.", tally.level)
        yield gauge("last_event_timestamp_seconds", "Time of its newest event.", tally.last_event)
        for number in self._more():
            yield (counter if number.counts else gauge)(number.name, number.text, number.value)
        if (stats := self._stats) is not None:
            started = round(time.time() - stats.uptime, 1)
            yield counter("process_cpu_seconds", "Processor time of its process group.", stats.cpu_seconds)
            yield gauge("process_resident_memory_bytes", "Its memory in RAM.", stats.resident_bytes)
            yield gauge("process_open_fds", "Its open descriptors.", stats.open_descriptors)
            yield gauge("process_start_time_seconds", "When its process was started.", started)
