"""How often decisions are wrong that are not the first since a track's start, of which nothing is promised.

    python -m tests.benchmarks.later_decisions models/zoo/body-actions/5 --data datasets

Each test clip of the bundle's recipe follows another one, drawn at random, without a reset: one body doing both, with a
passage of 0.4 s between. What is decided within the second clip, by the rules of the service, is compared with its
label. Prints JSON as its last line: by error rate the decisions, those that were wrong, and the clips with any.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from inkling.models.bundle import load
from inkling.models.calibration import probabilities
from inkling.models.unknown import UnknownScore
from inkling.service.streams.early_decision import EarlyDecisions, early_decision_terms, error_rates
from inkling.service.streams.event_detector import EventDetector
from inkling.training.augment.joining import join
from inkling.training.calibrate.unknown import held_back_at
from inkling.training.data.corpus import load_corpus
from inkling.training.data.loader import targets_by_step
from inkling.training.evaluate.onnx_graph import OnnxGraph, bundle_predictor
from inkling.training.recipe.recipe import read_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    bundle = load(arguments.bundle)
    spec = bundle.spec
    predict = bundle_predictor(bundle, OnnxGraph(bundle.step))
    corpus = load_corpus(read_recipe(spec.provenance.recipe), arguments.data)
    clips = [clip for examples in corpus.tests().values() for clip in examples]
    background = None if spec.background is None else spec.labels.index(spec.background)
    found = {rate: {"clips": len(clips), "decisions": 0, "wrong": 0, "clips_decided": 0} for rate in error_rates(spec)}
    score = None if spec.unknown is None else UnknownScore(spec.unknown, spec.labels, spec.rate_hz)
    random = torch.Generator().manual_seed(arguments.seed)
    for clip in clips:
        other = clips[int(torch.randint(len(clips), (), generator=random))]
        targets, other_targets = targets_by_step(clip), targets_by_step(other)
        pose, _ = join(other.pose, other_targets, clip.pose, targets, round(0.4 * spec.rate_hz))
        logits = predict(pose[None])[0].numpy()
        times = np.arange(len(logits)) / spec.rate_hz
        answered = probabilities(logits, spec.calibration, times)
        held_back = [False] * len(times) if score is None else held_back_at(score, score.over(answered), answered)
        shares = answered.tolist()
        begin = len(pose) - len(clip.pose)
        for rate, counts in found.items():
            asked = early_decision_terms(spec, rate)
            assert asked is not None
            promised, decision = EarlyDecisions(asked), EventDetector(spec.decision, background)
            later = []
            for step, (pts_s, row, held) in enumerate(zip(times.tolist(), shares, held_back, strict=True)):
                best = int(np.argmax(row))
                events = decision.push(row, best, held_back=held)
                made = promised.push(pts_s, best, row[best], events, held_back=held)
                if made is not None and not made.first and step >= begin:
                    later.append(best)
            counts["decisions"] += len(later)
            counts["wrong"] += sum(best != clip.target for best in later)
            counts["clips_decided"] += bool(later)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
