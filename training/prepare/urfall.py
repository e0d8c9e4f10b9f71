"""UR Fall Detection (Kwolek, Kępski, 2014) -> prepared clips for `fall-watch`, whole and in five folds.

Layout: `videos/fall/fall-NN-cam{0,1}.mp4`, `videos/adl/adl-NN-cam0.mp4`, optionally `videos/nofight/*.mp4` (other
people, other rooms), and `urfall_cam0_fall_labels.csv` with the 1-based frame at which each fall begins. Both cameras
of a fall ran together (their recordings have the same number of frames), so the second has the times of the first.

Labels: `falling` from the frame at which the fall begins, `lying` from the first frame in which the person lies to the
end of the recording, `daily` before the fall and in all daily activities. The data's own rule for the beginning is 30
frames, one second, before the person lies.

The rule of the folds: event number NN belongs to fold (NN - 1) mod 5 + 1, falls and daily activities alike, so both
cameras of a fall are in one fold. The same arrays serve all: `OUT/urfall` (all to train on, what is shipped) and
`OUT/urfall-folds/K/urfall` (fold K to test on).
"""

from __future__ import annotations

import csv
from pathlib import Path

from inkling.training.data.frame_dataset import Row, read
from inkling.training.data.pose_dataset import CLIPS_FILE, Split
from inkling.training.errors import DataError, Problem
from inkling.training.prepare import videos
from inkling.training.prepare.decode import Plan
from inkling.training.prepare.videos import Prepared
from inkling.training.prepare.workers import VideoDone

FOLDS = 5
FPS = 30.0
LABELS_FILE = "urfall_cam0_fall_labels.csv"
FALLING, LYING, DAILY = "falling", "lying", "daily"
ABOUT = "UR Fall Detection: 30 acted falls seen by two cameras and 40 daily activities (Kwolek, Kępski, 2014)."
TERMS = "Known as free for research; the authors ask to be cited."


def fold_of(event: int) -> int:
    """The fold, 1 to 5, of an event by its number, counted from 1."""
    return (event - 1) % FOLDS + 1


def prepare(
    source: Path | str,
    out: Path | str,
    plan: Plan,
    *,
    workers: int | None = None,
    progress: VideoDone = lambda done, total, what: None,
) -> Prepared:
    """Prepare the recordings and write the six data set folders. Raises DataError."""
    source, out = Path(source), Path(out)
    rows = find_rows(source)
    name = "features" if plan.extractor else "frames"
    done = videos.prepare(
        source / "videos", out / "urfall", plan,
        rows=rows, files=f"../urfall-{name}", about=ABOUT, terms=TERMS, workers=workers,
        progress=progress,
    )  # fmt: skip
    whole = read(out / "urfall")
    # `videos.prepare` wrote one line for each row, in their order
    with (out / "urfall" / CLIPS_FILE).open(encoding="utf-8", newline="") as file:
        written = [line["path"] for line in csv.DictReader(file)]
    for fold in range(1, FOLDS + 1):
        folder = out / "urfall-folds" / str(fold) / "urfall"
        folder.mkdir(parents=True, exist_ok=True)
        about = whole.about.model_copy(update={"files": f"../../../urfall-{name}"})
        split = [row.model_copy(update={"split": _split(row, fold)}) for row in rows]
        videos.write_description(folder, about, list(zip(written, split, strict=True)))
    return done


def _split(row: Row, fold: int) -> Split:
    return "test" if fold_of(int(row.group.rsplit("-", 1)[1])) == fold else "train"


def find_rows(source: Path) -> list[Row]:
    """A row per segment; the group is the event. Raises DataError."""
    known = times(source / LABELS_FILE)
    found: list[Row] = []
    for path in sorted((source / "videos" / "fall").glob("fall-*.mp4")):
        event = path.stem.rsplit("-", 1)[0]
        if event not in known:
            raise DataError([Problem(source / LABELS_FILE, None, f"says nothing of {event}")])
        relative, (begin_s, lies_s) = f"fall/{path.name}", known[event]
        if begin_s * FPS >= 6:  # less cannot become two steps
            found.append(Row(line=0, path=relative, label=DAILY, end_s=begin_s, group=event))
        found.append(Row(line=0, path=relative, label=FALLING, start_s=begin_s, end_s=lies_s, group=event))
        found.append(Row(line=0, path=relative, label=LYING, start_s=lies_s, group=event))
    for path in sorted((source / "videos" / "adl").glob("adl-*.mp4")):
        found.append(Row(line=0, path=f"adl/{path.name}", label=DAILY, group=path.stem.rsplit("-", 1)[0]))
    if not found:
        raise DataError([Problem(source, None, "has no videos/fall/fall-*.mp4")])
    return found


def times(table: Path) -> dict[str, tuple[float, float]]:
    """Event -> seconds at which the fall begins, and at which the person lies. Raises DataError."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            return {
                line["video"].rsplit("-", 1)[0]: (
                    (int(line["first_frame_label0_falling"]) - 1) / FPS,
                    (int(line["first_frame_label1_lying"]) - 1) / FPS,
                )
                for line in csv.DictReader(file)
            }
    except (OSError, KeyError, ValueError) as error:
        raise DataError([Problem(table, None, f"cannot be read: {error}")]) from error
