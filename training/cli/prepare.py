"""`inkling train prepare`: clips into data set folders."""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from rich.console import Console

from inkling.training.cli.options import Verbs
from inkling.training.cli.progress import shown_progress

if TYPE_CHECKING:
    from inkling.training.prepare.decode import Plan
    from inkling.training.prepare.film_people import PeopleFinder


def add_verbs(verbs: Verbs) -> None:
    """Add the verb, one sub-verb for each kind of source."""
    verb = verbs.add_parser("prepare", help="turn your clips, or an official download, into a data set folder")
    kinds = verb.add_subparsers(dest="kind", required=True, metavar="KIND")
    clips = kinds.add_parser("videos", help="your own videos: class folders, or a folder with clips.csv")
    poses = kinds.add_parser("poses", help="your own poses: dataset.toml beside class folders of .npz or clips.csv")
    penn = kinds.add_parser("penn", help="Penn Action: the .tar.gz, a zip of its labels, or the unpacked folder")
    jhmdb14 = kinds.add_parser("jhmdb14", help="JHMDB, puppet joints of 14 classes: the .npz")
    urfall = kinds.add_parser("urfall", help="UR Fall: its folder; writes OUT/urfall and five folds")
    people = kinds.add_parser("people", help="poses of the people in your videos: class folders, or a table")
    falls = kinds.add_parser("urfall-people", help="UR Fall as poses: OUT/urfall-people, five folds, two kinds")
    pictures = kinds.add_parser("pictures", help="the films of a data set of poses, for networks that see both")
    pictures.add_argument("folder", type=Path, metavar="DIR", help="the data set folder: clips.csv has a column video")
    pictures.add_argument("--recipe", type=Path, required=True, help="prepare what its [frames] and rate_hz ask for")
    pictures.add_argument("--workers", type=int, help="processes (default one per core)")
    pictures.set_defaults(run=_pictures)
    works = {clips: _videos, poses: _poses, penn: _penn, jhmdb14: _jhmdb14, urfall: _urfall}
    works |= {people: _people, falls: _urfall_people}
    for kind, work in works.items():
        kind.add_argument("source", type=Path, metavar="FILE" if kind in (penn, jhmdb14) else "DIR")
        kind.add_argument("out", type=Path, metavar="OUT", help="the data set folder to write")
        kind.set_defaults(run=work)
    for kind in (clips, urfall):
        kind.add_argument("--recipe", type=Path, help="prepare what this recipe's [frames] and rate_hz ask for")
        kind.add_argument("--height", type=int, default=96, help="of the frames to keep (default 96)")
        kind.add_argument("--width", type=int, default=128, help="of the frames to keep (default 128)")
        kind.add_argument("--rate", type=float, default=10.0, help="frames a second to keep (default 10)")
        kind.add_argument("--fit", default="letterbox", choices=("letterbox", "stretch", "crop"), help="(letterbox)")
        kind.add_argument("--workers", type=int, help="processes (default one per core)")
    for kind in (people, falls):
        kind.add_argument("--bundle", type=Path, help="a people bundle NAME/VERSION (default: the embedded one)")
        kind.add_argument("--rate", type=float, default=15.0, help="frames a second to look at (default 15)")
        kind.add_argument("--longer-side", type=int, help="of what is looked at, in pixels: more finds smaller people")
        kind.add_argument("--workers", type=int, help="processes (default one per core)")
    people.add_argument(
        "--people", default="main", choices=("main", "all"),
        help="whose poses: of each video the one person who is seen most (main), or everybody's",
    )  # fmt: skip
    people.add_argument("--split", default="", help="of an index.csv with several splits: 1 for its column split1")
    people.add_argument("--least", type=float, default=0.5, help="seconds a person is seen at least (default 0.5)")
    for kind in (clips, people):
        kind.add_argument("--broken", default="fail", choices=("fail", "skip"), help="a video that cannot be decoded")
    for kind in (clips, poses, people):
        kind.add_argument(
            "--test-share", type=float, default=0.2,
            help="share to keep for testing where the source names no test clips (default 0.2; 0: none)",
        )  # fmt: skip
    jhmdb14.add_argument(
        "--videos", type=Path, metavar="DIR",
        help="folder of JHMDB's videos, whose index.csv says which clip is of which video",
    )  # fmt: skip
    jhmdb14.add_argument(
        "--split", choices=("1", "2", "3", "all"), default="1",
        help="official split (default 1); all: OUT-1, OUT-2 and OUT-3",
    )  # fmt: skip


def _penn(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.prepare import penn

    console.print(f"{penn.prepare(arguments.source, arguments.out)} clips in {arguments.out}", markup=False)


def _jhmdb14(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.prepare import jhmdb14

    out: Path = arguments.out
    folders = {int(arguments.split): out} if arguments.split != "all" else {}
    for split, folder in (folders or {n: out.with_name(f"{out.name}-{n}") for n in jhmdb14.SPLITS}).items():
        count = jhmdb14.prepare(arguments.source, folder, split, arguments.videos)
        console.print(f"{count} clips in {folder}", markup=False)


def _poses(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.prepare import poses
    from inkling.training.prepare.starter import pose_recipe, recipe_name

    done = poses.prepare(arguments.source, arguments.out, test_share=_share(arguments.test_share))
    console.print(f"{len(done.dataset.clips)} clips in {arguments.out}", markup=False)
    name = recipe_name(arguments.out.resolve().name)
    _say_split(done.split, console)
    _begin_with(pose_recipe(name, arguments.out.resolve().name, done.rows, done.dataset.fps), arguments.out, console)


def _videos(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.prepare import videos
    from inkling.training.prepare.starter import frame_recipe, recipe_name

    plan = _plan(arguments)
    with shown_progress(console) as bar:
        done = videos.prepare(
            arguments.source, arguments.out, plan,
            broken=arguments.broken, workers=arguments.workers, test_share=_share(arguments.test_share),
            progress=bar.video_done,
        )  # fmt: skip
    console.print(videos.summary(done, arguments.out), markup=False)
    _say_split(done.split, console)
    if arguments.recipe is None:
        folder = arguments.out.resolve().name
        _begin_with(frame_recipe(recipe_name(folder), folder, done.rows, plan), arguments.out, console)
    else:
        _say_next(arguments.recipe, arguments.out, console)


def _pictures(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.prepare import pictures

    plan = _plan(arguments)
    with shown_progress(console) as bar:
        done = pictures.prepare(arguments.folder, plan, workers=arguments.workers, progress=bar.video_done)
    console.print(f"pictures of {done.films} films in {arguments.folder}, {done.made} of them new", markup=False)
    _say_next(arguments.recipe, arguments.folder, console)


def _urfall(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.prepare import urfall, videos

    plan = _plan(arguments)
    with shown_progress(console) as bar:
        done = urfall.prepare(arguments.source, arguments.out, plan, progress=bar.video_done, workers=arguments.workers)
    console.print(videos.summary(done, arguments.out), markup=False)


def _people(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.prepare import people
    from inkling.training.prepare.starter import pose_recipe, recipe_name

    finder = _finder(arguments)
    with shown_progress(console) as bar:
        done = people.prepare(
            people.Films.of(arguments.source, arguments.split), arguments.out, finder,
            who=arguments.people, least_s=arguments.least, broken=arguments.broken, workers=arguments.workers,
            test_share=_share(arguments.test_share), progress=bar.video_done,
        )  # fmt: skip
    console.print(people.summary(done, arguments.out), markup=False)
    _say_split(done.split, console)
    folder = arguments.out.resolve().name
    _begin_with(pose_recipe(recipe_name(folder), folder, done.rows, finder.rate_hz), arguments.out, console)


def _urfall_people(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.prepare import people, urfall_people

    with shown_progress(console) as bar:
        for folder, done in urfall_people.prepare(
            arguments.source, arguments.out, _finder(arguments), workers=arguments.workers, progress=bar.video_done
        ):
            console.print(people.summary(done, folder), markup=False)


def _finder(arguments: argparse.Namespace) -> PeopleFinder:
    """What is to look at the videos."""
    from inkling.models.bundle import zoo_directory
    from inkling.training.errors import ConfigError
    from inkling.training.prepare.film_people import EMBEDDED, PeopleFinder

    if not arguments.rate > 0 or (arguments.longer_side is not None and arguments.longer_side < 32):
        raise ConfigError("--rate is above 0, --longer-side at least 32")
    return PeopleFinder.of(arguments.bundle or zoo_directory() / EMBEDDED, arguments.rate, arguments.longer_side)


def _plan(arguments: argparse.Namespace) -> Plan:
    """What to prepare: as the recipe says, which fit will then accept, or as the options do."""
    from inkling.training.errors import ConfigError
    from inkling.training.prepare.decode import Plan
    from inkling.training.prepare.videos import plan_of
    from inkling.training.recipe.recipe import read_recipe

    if arguments.recipe is None:
        if min(arguments.height, arguments.width) < 32 or arguments.rate <= 0:
            raise ConfigError("--height and --width are at least 32, --rate is above 0")
        return Plan(arguments.height, arguments.width, arguments.fit, arguments.rate)
    recipe = read_recipe(arguments.recipe)
    if recipe.frames is None:
        raise ConfigError(f"recipe {recipe.name} is on poses")
    return plan_of(recipe.frames, recipe.rate_hz)


def _share(share: float) -> float:
    from inkling.training.errors import ConfigError

    if not 0 <= share < 1:
        raise ConfigError(f"--test-share {share:g} is no share: it is at least 0 and below 1")
    return share


def _say_split(sentence: str, console: Console) -> None:
    if sentence:
        console.print(sentence, markup=False)


def _begin_with(recipe: str, out: Path, console: Console) -> None:
    """Write a recipe beside the data set folder, unless there is one, and say how to go on."""
    from inkling.training.files import write_text

    path = out.with_name(f"{out.resolve().name}.toml")
    if path.exists():
        console.print(f"{path} stays as it is", markup=False)
    else:
        write_text(path, recipe)
        console.print(f"a recipe to begin with is in {path}", markup=False)
    _say_next(path, out, console)


def _say_next(recipe: Path, out: Path, console: Console) -> None:
    console.print(f"next: inkling train fit {quote(str(recipe))} --data {quote(str(out.parent))}", markup=False)
