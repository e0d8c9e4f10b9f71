"""What Prometheus is told of the sources: states and counts, no addresses."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from inkling.models.clean_decoding import Damage
from inkling.service.sources.manager import SourceManager


class SourceMetrics(Collector):
    """Read at each scrape, on the event loop's thread."""

    def __init__(self, sources: SourceManager) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        states = GaugeMetricFamily("inkling_sources", "Sources, by state.", labels=["state"])
        for state, count in self._sources.states().items():
            states.add_metric([state], count)
        tally = self._sources.tally()
        lost = CounterMetricFamily("inkling_source_losses", "Connections to sources lost, by cause.", labels=["cause"])
        for cause, count in tally.lost.items():
            lost.add_metric([cause], count)
        yield states
        yield GaugeMetricFamily(
            "inkling_sources_timed_by_arrival",
            "Sources whose clock stands still or runs at a wrong rate.",
            self._sources.timed_by_arrival(),
        )
        yield lost
        yield CounterMetricFamily("inkling_source_connects", "Connections to sources begun.", tally.connects)
        damaged = CounterMetricFamily(
            "inkling_source_frames_damaged", "Damaged frames of sources, left out, by cause.", labels=["cause"]
        )
        for damage in Damage:
            damaged.add_metric([damage], tally.damaged[damage])
        yield damaged
        yield CounterMetricFamily("inkling_source_frames", "Frames fetched from sources.", tally.frames)
