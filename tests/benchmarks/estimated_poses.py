"""What it costs that joints are estimated: JHMDB's 14 classes by hand and as the eyes see them, the same recordings.

    python -m tests.benchmarks.estimated_poses models/zoo/body-actions/5 --data datasets

`datasets` has `jhmdb14` and `jhmdb21-people`, prepared as the recipe says. Any of the bundle's labels may be answered.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from inkling.models.bundle import load
from inkling.training.data.corpus import load_corpus
from inkling.training.evaluate.onnx_graph import OnnxGraph, bundle_predictor
from inkling.training.recipe.recipe import read_recipe
from inkling.training.scores import accuracy, auc, ratio_logits

BY_HAND, ESTIMATED = "jhmdb14", "jhmdb21-people"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    bundle = load(arguments.bundle)
    recipe = read_recipe(bundle.spec.provenance.recipe)
    sources = tuple(source for source in recipe.datasets if source.name in (BY_HAND, ESTIMATED))
    recipe = recipe.model_copy(update={"datasets": sources})
    corpus = load_corpus(recipe, arguments.data, bundle.spec.labels)
    predict, classes = bundle_predictor(bundle, OnnxGraph(bundle.step)), corpus.own_labels[BY_HAND]
    figures = {}
    for name, clips in corpus.tests().items():
        logits, targets = ratio_logits(predict, [clip for clip in clips if clip.target in classes])
        shares = accuracy(logits, targets)
        figures[name] = {"clips": len(targets), "auc": round(auc(shares), 4), "whole": round(float(shares[-1]), 4)}
        print(f"{name}: {len(targets)} clips, AUC {100 * auc(shares):.1f}, of whole clips {100 * shares[-1]:.1f} %")
    print(json.dumps({"benchmark": "estimated_poses", **figures}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
