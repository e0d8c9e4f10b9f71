"""Falls from pixels: films of UR Fall through a real server, each by a model that was trained without its event.

    inkling train prepare urfall-people UR_FALL datasets
    inkling train fit body-actions --data datasets
    python -m tests.benchmarks.fall_films UR_FALL runs/body-actions

The student of each of the five parts in which the recipe validates becomes a bundle, and one server loads them all.
Every film is sent to `/v1/clips` of the bundle whose part keeps the event out; the server finds the people in it,
tracks and steps them. What counts is its `fall` events: one that begins between the onset and the lying is a
warning, one in a film without a fall or before the onset is a false alarm. `fall_people` asks the same of poses that
were prepared beforehand. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch

from inkling.service.settings import Settings
from inkling.training.data.corpus import load_corpus
from inkling.training.data.folds import cross_folds, draw_fold
from inkling.training.data.pose_dataset import read
from inkling.training.export.bundle import export
from inkling.training.markdown import table
from inkling.training.prepare import urfall
from inkling.training.prepare.urfall_people import FALL, NAME
from inkling.training.run import Run
from tests.service.conftest import running

WAIT_S = 300.0


def bundles(run: Run, out: Path) -> dict[str, str]:
    """Write a bundle of each part's student; the version of the one that an event was kept out of."""
    result, root = run.chosen(), run.data_root()
    (source,) = (source for source in run.recipe.datasets if source.name == NAME)
    clips = read(root / source.path).clips
    fold = draw_fold(load_corpus(run.recipe, root), run.recipe, result.seed)
    version_of: dict[str, str] = {}
    for number, part in enumerate(cross_folds(fold, run.recipe.validation.folds, result.seed)):
        version = f"0.{number}"
        alone = out / "runs" / version
        seed = alone / run.seed_directory(result.seed).name
        seed.mkdir(parents=True)
        shutil.copy(run.directory / "run.json", alone)
        shutil.copy(run.seed_directory(result.seed) / "result.json", seed)
        shutil.copy(run.fold_directory(result.seed, number) / "student.pt", seed)
        export(Run.open(alone), out / "bundles", version)
        seen = {example.path for example in part.train if example.source == NAME}
        version_of |= {clip.group: version for clip in clips if clip.path not in seen}
    return version_of


def begun(url: str, film: Path, bundle: str, version: str) -> list[float]:
    """Seconds at which `fall` events begin."""
    answer = httpx.post(
        f"{url}/v1/clips", params={"bundle": bundle, "version": version}, content=film.read_bytes(), timeout=WAIT_S
    )
    if answer.status_code != 200:
        raise RuntimeError(f"{film.name}: {answer.text}")
    events = answer.json()["events"]
    return sorted(event["pts_s"] for event in events if event["label"] == FALL and event["phase"] == "begin")


def figures(
    camera: str, alarms: Mapping[str, Sequence[float]], times: Mapping[str, tuple[float, float]]
) -> dict[str, Any]:
    """alarms: of every film by its name. What they come to for the falls of one camera, beside all quiet films."""
    leads, late, missed, before, quiet_right, quiet, false = [], 0, 0, 0, 0, 0, 0
    for film, seconds in alarms.items():
        event, which = film.rsplit("-", 1)
        if event not in times:
            false, quiet, quiet_right = false + len(seconds), quiet + 1, quiet_right + (not seconds)
        elif which == camera:
            onset, lies = times[event]
            before += sum(second < onset for second in seconds)
            after = [second for second in seconds if second >= onset]
            if after and after[0] < lies:
                leads.append(lies - after[0])
            else:
                late, missed = late + bool(after), missed + (not after)
    hit = len(leads) + late
    fall_f1 = 2 * hit / max(1, 2 * hit + missed + (quiet - quiet_right))
    quiet_f1 = 2 * quiet_right / max(1, 2 * quiet_right + missed + (quiet - quiet_right))
    return {
        "falls": len(leads) + late + missed,
        "warned_in_time": len(leads),
        "warning_s_median": round(float(np.median(leads)), 3) if leads else None,
        "late": late,
        "missed": missed,
        "false_alarms": false,
        "quiet_films": quiet,
        "false_alarms_before_falls": before,
        "macro_f1": round((fall_f1 + quiet_f1) / 2, 4),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("source", type=Path, help="the folder of UR Fall")
    parser.add_argument("run", type=Path, help="a run that validates in folds")
    parser.add_argument("--people", default="people", help="the bundle that finds people (default: people)")
    parser.add_argument("--films", type=int, help="so many films only")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    times = urfall.times(arguments.source / urfall.LABELS_FILE)
    run = Run.open(arguments.run)
    films = sorted((arguments.source / "videos").glob("fall/*.mp4")) + sorted(
        (arguments.source / "videos").glob("adl/*.mp4")
    )
    alarms: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        version_of = bundles(run, Path(name))
        versions = sorted(set(version_of.values()))
        settings = Settings.model_validate(
            {
                "port": 0,
                "bundles": [Path(name) / "bundles"],
                "load": [f"{run.recipe.name}/{version}" for version in versions],
                "people": {"bundle": arguments.people},
                "engine": {"threads": 1},
            }
        )
        with running(settings) as server:
            for film in films[: arguments.films]:
                # somebody who was never found is in no clip, and so in no student's training
                version = version_of.get(film.stem.rsplit("-", 1)[0], versions[0])
                alarms[film.stem] = begun(server.url, film, run.recipe.name, version)
    found = {camera: figures(camera, alarms, times) for camera in ("cam0", "cam1")}
    head = (
        "camera", "falls", "warned of before lying", "median s before", "later", "not at all", "false alarms",
        "films without a fall", "false alarms before falls", "macro-F1",
    )  # fmt: skip
    rows = [
        (
            {"cam0": "front", "cam1": "ceiling"}[camera], str(each["falls"]), str(each["warned_in_time"]),
            "-" if each["warning_s_median"] is None else f"{each['warning_s_median']:.2f}", str(each["late"]),
            str(each["missed"]), str(each["false_alarms"]), str(each["quiet_films"]),
            str(each["false_alarms_before_falls"]), f"{each['macro_f1']:.2f}",
        )
        for camera, each in found.items()
    ]  # fmt: skip
    print(table(head, rows))
    print(json.dumps({"benchmark": "fall_films", "people": arguments.people, **found}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
