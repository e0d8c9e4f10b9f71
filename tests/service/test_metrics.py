"""Metrics: what a scrape shows, and that a batch is counted rightly in one call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Histogram
from prometheus_client.parser import text_string_to_metric_families

from inkling.models.bundle import load
from inkling.service.metrics import Distribution, Metrics
from inkling.service.streams.observer import BatchReport
from inkling.service.streams.stats import BundleStats, Counts
from tests.support import make_bundle


def scrape(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every sample of ours: (name without prefix, label values...) -> value."""
    return {
        (sample.name.removeprefix("inkling_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if sample.name.startswith("inkling_")
    }


@pytest.fixture
def stats(tmp_path: Path) -> BundleStats:
    counts = Counts(
        received=100, stepped=50, skipped=30, refused=2, dropped={"overflow": 7}, resets={"gap": 3},
        errors={"bad_pose": 2}, tracks=9, perceived=20, gated=25, found=31, tracks_begun=8,
        tracks_lost=6, tracks_renewed=2,
    )  # fmt: skip
    return BundleStats(load(make_bundle(tmp_path)).spec, 4, 5, 6, 10, counts)


def test_a_scrape_shows_what_the_hub_says_at_that_moment(stats: BundleStats) -> None:
    metrics = Metrics("1.2.3")
    metrics.watch(lambda: [stats])
    samples = scrape(metrics)
    expected = {
        ("build_info", "1.2.3"): 1, ("ready",): 0, ("bundle_info", "tiny/1", "tiny", "recognition", "1"): 1,
        ("streams", "tiny/1"): 4, ("tracks", "tiny/1"): 5, ("slots_used", "tiny/1"): 6, ("slots_free", "tiny/1"): 10,
        ("frames_received_total", "tiny/1"): 100, ("frames_stepped_total", "tiny/1"): 50,
        ("frames_skipped_total", "tiny/1"): 30, ("frames_refused_total", "tiny/1"): 2,
        ("frames_perceived_total", "tiny/1"): 20, ("frames_gated_total", "tiny/1"): 25,
        ("people_tracks_begun_total", "tiny/1"): 8, ("people_tracks_lost_total", "tiny/1"): 6,
        ("people_id_changes_total", "tiny/1"): 2, ("people_found_total", "tiny/1"): 31,
        ("frames_dropped_total", "tiny/1", "overflow"): 7,
        ("resets_total", "tiny/1", "gap"): 3,
        ("clip_frames_damaged_total", "lost"): 0, ("clip_frames_damaged_total", "broken"): 0,
        ("clip_frames_damaged_total", "dependent"): 0,
        ("tracks_seen_total", "tiny/1"): 9, ("errors_total", "bad_pose"): 2,
    }  # fmt: skip
    assert samples == expected
    stats.counts.received = 101
    metrics.ready = True
    assert scrape(metrics)["frames_received_total", "tiny/1"] == 101
    assert scrape(metrics)["ready",] == 1


def test_errors_of_streams_and_of_the_shells_are_one_counter(stats: BundleStats) -> None:
    metrics = Metrics("1")
    metrics.watch(lambda: [stats, stats])
    metrics.errors["bad_pose"] += 1
    metrics.errors["over_capacity"] += 5
    samples = scrape(metrics)
    assert (samples["errors_total", "bad_pose"], samples["errors_total", "over_capacity"]) == (5, 5)
    assert metrics.errors["bad_pose"] == 1, "a scrape counts nothing itself"


def test_looks_are_told_by_the_people_bundle_that_made_them() -> None:
    metrics = Metrics("1")
    metrics.perceived("people/1", [(3, 0.06), (1, 0.02)], [0.1, 0.1, 0.1, 0.1, 0.001], 2)
    samples = scrape(metrics)
    assert samples["people_failed_total", "people/1"] == 2
    assert samples["people_seconds_count", "people/1"] == samples["people_batch_size_count", "people/1"] == 2
    assert samples["people_batch_size_sum", "people/1"] == 4
    assert samples["people_queue_seconds_count", "people/1"] == 5


def test_a_batch_counts_its_steps_and_fills_the_histograms() -> None:
    metrics = Metrics("1")
    metrics.batch(BatchReport("tiny/1", 3, [0.001, 0.004, 9.0], 0.003, [0.006], failed=False))
    metrics.batch(BatchReport("tiny/1", 2, [0.0, 0.0], 0.003, [], failed=True))
    samples = scrape(metrics)
    assert samples["steps_total", "tiny/1"] == 3
    assert samples["batches_failed_total", "tiny/1"] == 1
    assert samples["batch_size_sum", "tiny/1"] == 5
    assert samples["queue_seconds_count", "tiny/1"] == 5
    assert samples["queue_seconds_sum", "tiny/1"] == pytest.approx(9.005)
    assert samples["queue_seconds_bucket", "tiny/1", "5.0"] == 4
    assert samples["latency_seconds_bucket", "tiny/1", "0.005"] == 0
    assert samples["latency_seconds_bucket", "tiny/1", "0.01"] == 1


def test_two_servers_in_one_process_do_not_share_metrics(stats: BundleStats) -> None:
    one, other = Metrics("1"), Metrics("1")
    one.watch(lambda: [stats])
    one.errors["internal"] += 1
    assert ("errors_total", "internal") not in scrape(other)


def test_the_process_itself_is_measured() -> None:
    text = Metrics("1").render().decode()
    assert "process_resident_memory_bytes" in text
    assert "process_cpu_seconds_total" in text


@given(st.lists(st.lists(st.floats(0, 20), max_size=20), max_size=5))
def test_a_distribution_agrees_with_prometheus_own_histogram(batches: list[list[float]]) -> None:
    bounds = (0.5, 1.0, 5.0)
    ours, theirs = Distribution(bounds), Histogram("x", "x", buckets=bounds, registry=None)
    for batch in batches:
        ours.observe(batch)
        for value in batch:
            theirs.observe(value)
    (family,) = theirs.collect()
    expected = {s.labels["le"]: s.value for s in family.samples if s.name == "x_bucket"}
    assert dict(ours.buckets()) == expected
    assert ours.total == pytest.approx(np.sum([value for batch in batches for value in batch]))
