"""What an operator can ask the server: Prometheus counters, gauges and histograms, units in their names.

Nothing is counted twice: figures of streams and bundles are read from the hub at the time of the scrape, so the two
cannot drift apart. Only what the hub does not keep is kept here: histograms, refused streams, clips.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from inkling.models.clean_decoding import Damage
from inkling.service.memory_account import MemoryAccount
from inkling.service.streams.observer import BatchReport
from inkling.service.streams.stats import BundleStats

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)


class Distribution:
    """A histogram that takes many values in one call: a batch of 256 steps is one update, not 256."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = np.asarray(bounds)
        self._bounds = list(bounds)
        self.counts = np.zeros(len(bounds) + 1, np.int64)
        self.total = 0.0

    def observe(self, values: Sequence[float] | npt.NDArray[np.float64]) -> None:
        """Count each value into the first bucket whose upper bound is not below it."""
        if len(values) == 1:
            value = float(values[0])
            self.counts[bisect_left(self._bounds, value)] += 1
            self.total += value
            return
        array = np.asarray(values, np.float64)
        if array.size:
            self.counts += np.bincount(np.searchsorted(self.bounds, array), minlength=len(self.counts))
            self.total += float(array.sum())

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, how many values up to it), as Prometheus has it: cumulative, the last one without bound."""
        names = [*map(str, self.bounds.tolist()), "+Inf"]
        return list(zip(names, np.cumsum(self.counts).tolist(), strict=True))


class Metrics(Collector):
    """One server's metrics in a registry of their own, so that several servers fit into one process.

    Used on the event loop's thread only. `batch` makes it the hub's observer; `watch` tells it what to read.
    """

    def __init__(self, version: str) -> None:
        self.version = version
        self.ready = False
        self.errors: Counter[str] = Counter()
        """Errors told to clients by the shells: refused streams and clips, by code."""
        self.clips: Counter[str] = Counter()
        """Clips scored, by bundle."""
        self.clip_damage: Counter[Damage] = Counter()
        """Damaged frames of video clips, by cause."""
        self.broken: list[tuple[str, str]] = []
        """Bundles that were found and could not be used, with the kind of error."""
        self._steps: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._pictures_failed: Counter[str] = Counter()
        self._stats: Callable[[], Iterable[BundleStats]] = tuple
        self._memory: MemoryAccount | None = None
        self._histograms: dict[str, tuple[str, tuple[float, ...], dict[str, Distribution]]] = {
            "batch_size": ("Steps in one run of the model.", SIZES, {}),
            "queue_seconds": ("From a step's submission to its run.", SECONDS, {}),
            "step_seconds": ("One run of the model on one batch.", SECONDS, {}),
            "decode_seconds": ("Decoding and resizing of one image.", SECONDS, {}),
            "people_batch_size": ("Pictures in one run of the people bundle.", SIZES, {}),
            "people_queue_seconds": ("From a picture's arrival to its perception, decoding included.", SECONDS, {}),
            "people_seconds": ("One run of the people bundle on one batch of pictures.", SECONDS, {}),
            "latency_seconds": ("From a frame's arrival to its prediction.", SECONDS, {}),
        }
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(self)

    def watch(self, stats: Callable[[], Iterable[BundleStats]], memory: MemoryAccount | None = None) -> None:
        """Read streams, tracks, slots and frames from `stats` (`Hub.stats`) at every scrape, and what is promised."""
        self._stats = stats
        self._memory = memory

    def batch(self, report: BatchReport) -> None:
        """One engine batch is done, well or badly (`inkling.service.streams.hub.Observer`)."""
        (self._failed if report.failed else self._steps)[report.bundle] += 1 if report.failed else report.size
        self._observe("batch_size", report.bundle, [report.size])
        self._observe("queue_seconds", report.bundle, report.queue_s)
        self._observe("step_seconds", report.bundle, [report.step_s])
        self._observe("latency_seconds", report.bundle, report.latency_s)

    def decoded(self, bundle: str, seconds: Sequence[float]) -> None:
        """So long decoding took, of each frame since the call before (`inkling.service.streams.hub.Observer`)."""
        self._observe("decode_seconds", bundle, seconds)

    def perceived(self, people: str, runs: Sequence[tuple[int, float]], queue_s: Sequence[float], failed: int) -> None:
        """People were looked for in pictures (`inkling.service.streams.hub.Observer`)."""
        self._observe("people_batch_size", people, [size for size, _ in runs])
        self._observe("people_seconds", people, [seconds for _, seconds in runs])
        self._observe("people_queue_seconds", people, queue_s)
        self._pictures_failed[people] += failed  # by 0 too: a rate is told from where it begins

    def render(self) -> bytes:
        """Everything in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """Called by the registry at a scrape."""
        stats = list(self._stats())
        yield _family(
            GaugeMetricFamily, "build_info", "The server's version; always 1.", ["version"], [(self.version, 1)]
        )
        yield _family(GaugeMetricFamily, "ready", "1 while new streams are taken.", [], [((), self.ready)])
        yield from self._bundles(stats)
        yield from self._frames(stats)
        yield from self._work()
        if self._memory is not None:
            yield from _memory(self._memory)

    def _bundles(self, stats: list[BundleStats]) -> Iterator[Metric]:
        info = {(stat.spec.full_name, stat.spec.name, stat.spec.version, stat.spec.task): 1.0 for stat in stats}
        names = ["bundle", "name", "version", "task"]
        yield _family(GaugeMetricFamily, "bundle_info", "A loaded bundle; always 1.", names, info.items())
        broken = [(entry, 1) for entry in self.broken]
        text = "A bundle that was found and cannot be used; always 1."
        yield _family(GaugeMetricFamily, "bundle_broken", text, ["bundle", "error"], broken)
        for name, text in (
            ("streams", "Streams open now."),
            ("tracks", "People watched now."),
            ("slots_used", "Rows of the state pool in use."),
            ("slots_free", "Rows of the state pool that are free."),
        ):
            values = {stat.spec.full_name: float(getattr(stat, name)) for stat in stats}
            yield _family(GaugeMetricFamily, name, text, ["bundle"], values.items())

        watched = [(stat.spec.full_name, *stat.canary) for stat in stats if stat.canary is not None]
        text = "Steps of the model that were also taken alone."
        steps = [(name, float(count)) for name, count, _ in watched]
        yield _family(CounterMetricFamily, "canary_steps", text, ["bundle"], steps)
        text = "Largest difference of a logit between a batch and the same track stepped alone."
        differences = [(name, difference) for name, _, difference in watched]
        yield _family(GaugeMetricFamily, "canary_difference", text, ["bundle"], differences)

    def _frames(self, stats: list[BundleStats]) -> Iterator[Metric]:
        for name, text in (
            ("received", "Frames received."),
            ("stepped", "Frames that advanced a model."),
            ("skipped", "Frames between two ticks of the bundle's clock."),
            ("refused", "Frames that were not usable."),
            ("perceived", "Frames in which people were looked for."),
            ("gated", "Frames in which nothing moved and nobody was tracked, so that nobody was looked for."),
        ):
            values = {stat.spec.full_name: float(getattr(stat.counts, name)) for stat in stats}
            yield _family(CounterMetricFamily, f"frames_{name}", text, ["bundle"], values.items())
        dropped = {(s.spec.full_name, cause): float(n) for s in stats for cause, n in s.counts.dropped.items()}
        yield _family(
            CounterMetricFamily, "frames_dropped", "Frames lost, by cause.", ["bundle", "cause"], dropped.items()
        )
        resets = {(s.spec.full_name, reason): float(n) for s in stats for reason, n in s.counts.resets.items()}
        text = "States set to their initial value, by reason."
        yield _family(CounterMetricFamily, "resets", text, ["bundle", "reason"], resets.items())
        for name, field, text in (
            ("people_found", "found", "People who were found in frames, each counted in each."),
            ("people_tracks_begun", "tracks_begun", "Tracks that began, of people who were found."),
            (
                "people_tracks_lost",
                "tracks_lost",
                "Tracks that ended: somebody was not seen for longer than the gap limit.",
            ),
            (
                "people_id_changes",
                "tracks_renewed",
                "Tracks that began where one was lost less than three seconds before: most likely the same person.",
            ),
        ):
            values = {stat.spec.full_name: float(getattr(stat.counts, field)) for stat in stats}
            yield _family(CounterMetricFamily, name, text, ["bundle"], values.items())
        seen = {stat.spec.full_name: float(stat.counts.tracks) for stat in stats}
        yield _family(CounterMetricFamily, "tracks_seen", "People ever watched.", ["bundle"], seen.items())
        errors = self.errors.copy()  # a sum of counters would lose those at 0, from which a rate is told
        for stat in stats:
            errors.update(stat.counts.errors)
        yield _family(CounterMetricFamily, "errors", "Errors told to clients, by code.", ["code"], errors.items())

    def _work(self) -> Iterator[Metric]:
        text = "Steps of the model: one for each track and tick."
        yield _family(CounterMetricFamily, "steps", text, ["bundle"], self._steps.items())
        yield _family(
            CounterMetricFamily, "batches_failed", "Runs of the model that failed.", ["bundle"], self._failed.items()
        )
        text = "Pictures in which people could not be looked for."
        yield _family(CounterMetricFamily, "people_failed", text, ["bundle"], self._pictures_failed.items())
        yield _family(CounterMetricFamily, "clips", "Clips scored.", ["bundle"], self.clips.items())
        damaged = [(cause.value, float(self.clip_damage[cause])) for cause in Damage]
        text = "Damaged frames of video clips, left out, by cause."
        yield _family(CounterMetricFamily, "clip_frames_damaged", text, ["cause"], damaged)
        for name, (text, _, distributions) in self._histograms.items():
            family = HistogramMetricFamily(f"inkling_{name}", text, labels=["bundle"])
            for bundle, distribution in distributions.items():
                family.add_metric([bundle], distribution.buckets(), distribution.total)
            yield family

    def _observe(self, name: str, bundle: str, values: Sequence[float]) -> None:
        _, bounds, distributions = self._histograms[name]
        if bundle not in distributions:
            distributions[bundle] = Distribution(bounds)
        distributions[bundle].observe(values)


def _memory(account: MemoryAccount) -> Iterator[Metric]:
    text = "Memory that is promised to clients now, by what it is for."
    yield _family(GaugeMetricFamily, "memory_promised_bytes", text, ["kind"], account.promised.items())
    text = "Memory that may be promised, all kinds together."
    yield _family(GaugeMetricFamily, "memory_promised_limit_bytes", text, [], [((), account.limit)])
    text = "Refusals for want of memory to promise, by what it was for."
    yield _family(CounterMetricFamily, "memory_refusals", text, ["kind"], account.refused.items())


def _family(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    text: str,
    labels: Sequence[str],
    values: Iterable[tuple[str | tuple[str, ...], float]],
) -> Metric:
    family = kind(f"inkling_{name}", text, labels=labels)
    for key, value in values:
        family.add_metric([key] if isinstance(key, str) else list(key), value)
    return family
