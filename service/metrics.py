"""What an operator can ask the server: Prometheus counters, gauges and histograms, units in their names.

Counters are moved where things happen. Gauges are read from the hub at the time of the scrape, so they cannot drift.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from models.bundle.schema import BundleSpec

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of one bundle's capacity is taken right now."""

    bundle: str
    streams: int
    tracks: int
    slots_used: int
    slots_free: int


class Metrics:
    """One server's metrics in a registry of their own, so that several servers fit into one process."""

    def __init__(self, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        Gauge("inkling_build_info", "The server's version; always 1.", ["version"], registry=self.registry).labels(
            version
        ).set(1)
        self._bundles = Gauge(
            "inkling_bundle_info", "A loaded bundle; always 1.", ["bundle", "version", "task"], registry=self.registry
        )
        self.ready = Gauge("inkling_ready", "1 while new streams are taken.", registry=self.registry)

        self.streams_opened = self._counter("streams_opened", "Streams admitted.", "bundle")
        self.streams_closed = self._counter("streams_closed", "Streams ended, by how they ended.", "bundle", "cause")
        self.clips = self._counter("clips", "Clips scored.", "bundle")
        self.frames_received = self._counter("frames_received", "Frames received.", "bundle")
        self.frames_stepped = self._counter("frames_stepped", "Frames that advanced a model.", "bundle")
        self.frames_skipped = self._counter("frames_skipped", "Frames between two ticks of the bundle.", "bundle")
        self.frames_dropped = self._counter("frames_dropped", "Frames lost, by cause.", "bundle", "cause")
        self.steps = self._counter("steps", "Steps of the model: one for each track and tick.", "bundle")
        self.resets = self._counter("resets", "States set to their initial value, by reason.", "bundle", "reason")
        self.events = self._counter("events", "Events begun.", "bundle", "label")
        self.errors = self._counter("errors", "Errors told to clients, by code.", "code")

        self.batch_size = self._histogram("batch_size", "Steps in one run of the model.", SIZES)
        self.queue_seconds = self._histogram("queue_seconds", "From a step's submission to its run.", SECONDS)
        self.step_seconds = self._histogram("step_seconds", "One run of the model on one batch.", SECONDS)
        self.latency_seconds = self._histogram("latency_seconds", "From a frame's arrival to its prediction.", SECONDS)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"inkling_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Iterable[float]) -> Histogram:
        return Histogram(f"inkling_{name}", text, ["bundle"], buckets=tuple(buckets), registry=self.registry)

    def add_bundle(self, spec: BundleSpec) -> None:
        """Announce a loaded bundle, and show its counters as 0 from the first scrape on."""
        self._bundles.labels(spec.name, spec.version, spec.task).set(1)
        for metric in (self.streams_opened, self.frames_received, self.frames_stepped, self.frames_skipped, self.steps):
            metric.labels(spec.name)

    def watch(self, usage: Callable[[], Iterable[Usage]]) -> None:
        """Read the gauges of streams, tracks and slots from `usage` at every scrape."""
        self.registry.register(_UsageCollector(usage))

    def render(self) -> bytes:
        """Everything in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)


class _UsageCollector(Collector):
    def __init__(self, usage: Callable[[], Iterable[Usage]]) -> None:
        self._usage = usage

    def describe(self) -> Iterator[GaugeMetricFamily]:
        return iter(self._families())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families = self._families()
        for use in self._usage():
            values = (use.streams, use.tracks, use.slots_used, use.slots_free)
            for family, value in zip(families, values, strict=True):
                family.add_metric([use.bundle], value)
        return iter(families)

    @staticmethod
    def _families() -> list[GaugeMetricFamily]:
        texts = {
            "streams": "Streams open now.",
            "tracks": "People watched now.",
            "slots_used": "Rows of the state pool in use.",
            "slots_free": "Rows of the state pool that are free.",
        }
        return [GaugeMetricFamily(f"inkling_{name}", text, labels=["bundle"]) for name, text in texts.items()]
