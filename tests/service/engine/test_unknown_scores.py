from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.bundle.schema import BundleSpec, Unknown
from inkling.models.unknown import UnknownScore
from inkling.service.engine.batcher import Batcher, BatchOutcome
from inkling.service.engine.scheduler import Lane, Step
from inkling.service.engine.track_age import TrackAges
from inkling.service.engine.unknown_scores import UnknownScores
from tests.service.rig import FaultyEngine, body, tiny

UNKNOWN = Unknown(labels=("c",), average_s=0.3, threshold=0.5, lost=0.0, events=1)
SHOWN = 6e-4
"""Scores are rounded to three decimals."""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> BundleSpec:
    return tiny(tmp_path_factory.mktemp("bundles"), unknown=UNKNOWN).spec


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.booleans(), st.integers(0, 99)), max_size=40))
def test_each_row_s_score_is_that_of_its_tenant_alone(
    spec: BundleSpec, taken: list[tuple[int, int, bool, int]]
) -> None:
    """Rows change tenants and epochs, and some of their steps fail."""
    ages, scores = TrackAges(3), UnknownScores(UNKNOWN, spec, 3)
    alone: dict[int, tuple[int, list[np.ndarray]]] = {}
    for row, epoch, fine, seed in taken:
        rows, which = np.array([row, (row + 1) % 3]), np.array([fine, True])
        generations, epochs = np.zeros(2, np.int64), np.full(2, epoch)
        shares = np.random.default_rng(seed).dirichlet(np.ones(3), 2)
        found = scores.step(rows, ages.step(rows, generations, epochs, which), shares, which)
        for i, place in enumerate(rows.tolist()):
            if not which[i]:
                continue
            before = alone.get(place)
            seen = before[1] if before is not None and before[0] == epoch else []
            seen.append(shares[i])
            alone[place] = epoch, seen
            expected = UnknownScore(UNKNOWN, spec.labels, spec.rate_hz).over(np.array(seen))[-1]
            assert found[i] == pytest.approx(expected, abs=SHOWN)


@pytest.mark.parametrize("unknown", [UNKNOWN, None])
def test_a_batcher_scores_what_its_bundle_can_tell(tmp_path: Path, unknown: Unknown | None) -> None:
    bundle = tiny(tmp_path, unknown=unknown)
    engine = FaultyEngine(bundle, threads=1)
    pool = engine.pool(2, 4)
    outcomes: list[BatchOutcome] = []
    batcher = Batcher(engine, pool, outcomes.append, 4)
    slots = [pool.acquire() for _ in range(2)]
    lanes = [Lane(slot.index, slot.generation, lambda rows: rows) for slot in slots]
    shares: list[list[list[float]]] = [[], []]
    for turn in range(6):
        batcher.submit([Step(lane, body(turn + k), 0, 0, 0.0) for k, lane in enumerate(lanes)])
        assert batcher.run_once()
        for k, row in enumerate(outcomes[-1].probabilities):
            shares[k].append(row)
    if unknown is None:
        assert all(outcome.unknown is None for outcome in outcomes)
        return
    score = UnknownScore(unknown, bundle.spec.labels, bundle.spec.rate_hz)
    found = np.array([outcome.unknown for outcome in outcomes])
    for k in range(2):
        assert found[:, k] == pytest.approx(score.over(np.array(shares[k])), abs=SHOWN)


def test_a_step_that_stands_for_a_gap_counts_like_any_other(tmp_path: Path) -> None:
    bundle = tiny(tmp_path, unknown=UNKNOWN)
    engine = FaultyEngine(bundle, threads=1)
    pool = engine.pool(1, 2)
    outcomes: list[BatchOutcome] = []
    batcher = Batcher(engine, pool, outcomes.append, 2)

    def run(repeats: int) -> list[float]:
        slot = pool.acquire()
        lane = Lane(slot.index, slot.generation, lambda rows: rows)
        for _ in range(1 if repeats else 4):
            batcher.submit([Step(lane, body(1), 0, 0, 0.0)])
        if repeats:
            batcher.submit([Step(lane, body(1), 0, repeats, 0.0)])
        while batcher.run_once():
            pass
        pool.release(slot)
        return outcomes[-1].unknown or []

    assert run(2) == pytest.approx(run(0), abs=SHOWN)
