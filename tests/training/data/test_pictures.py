from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from inkling.models.networks import FrameConfig
from inkling.training.augment.poses import View
from inkling.training.data.corpus import Corpus, Example, at_steps, load_corpus, segments
from inkling.training.data.loader import Drawing, Joining, collate, drawn
from inkling.training.data.pictures import PICTURES_FILE, PICTURES_FOLDER, PICTURES_TABLE, read_pictures
from inkling.training.data.pose_dataset import read
from inkling.training.errors import DataError
from tests.training.rooms import RATE_HZ, SIDE, rooms_recipe, write_rooms
from tests.training.support import as_they_are, read_rows, write_rows

FRAMES = FrameConfig(height=SIDE, width=SIDE, frozen=True, shift=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("data")
    write_rooms(directory / "rooms", train=3, test=1)
    return directory


@pytest.fixture(scope="module")
def corpus(root: Path) -> Corpus:
    return load_corpus(rooms_recipe(), root)


def problems(directory: Path, frames: FrameConfig = FRAMES, rate_hz: float = RATE_HZ) -> str:
    with pytest.raises(DataError) as refused:
        read_pictures(read(directory), frames, rate_hz)
    return str(refused.value)


def test_every_clip_has_a_picture_for_each_of_its_steps(corpus: Corpus) -> None:
    assert corpus.frame is not None
    assert corpus.frame.shape == (SIDE, SIDE, 3)
    for example in corpus.examples:
        assert example.further["frame"].shape == (len(example.pose), SIDE, SIDE, 3)


def test_a_step_sees_the_picture_nearest_to_it_in_time(root: Path) -> None:
    dataset = read(root / "rooms")
    pictures = read_pictures(dataset, FRAMES, RATE_HZ)
    clip = dataset.clips[0]
    array = pictures.arrays[clip.video]
    assert np.array_equal(pictures.beside(clip, [0, 1, 2]).numpy(), array[:3])
    assert np.array_equal(pictures.beside(clip, [2, 2, 5]).numpy(), array[[2, 2, 5]])


def test_other_pictures_are_other_data(corpus: Corpus, tmp_path: Path) -> None:
    write_rooms(tmp_path / "rooms", train=3, test=1)
    assert load_corpus(rooms_recipe(), tmp_path).digest() == corpus.digest()
    changed = next((tmp_path / "rooms" / PICTURES_FOLDER).iterdir())
    np.save(changed, 255 - np.load(changed))
    assert load_corpus(rooms_recipe(), tmp_path).digest() != corpus.digest()


def test_pictures_go_with_the_steps_of_their_clip(corpus: Corpus) -> None:
    example = corpus.examples[0]
    steps = torch.tensor([4, 2, 2])
    seen = at_steps(example, steps, example.pose[steps])
    assert torch.equal(seen.further["frame"], example.further["frame"][steps])
    labelled = torch.full((len(example.pose),), 0)
    labelled[:3] = 1
    first, second = segments(Example(example.pose, 0, "", "test", "", labelled, further=example.further))
    assert (len(first.further["frame"]), second.lead) == (3, 3)

    def backwards(clips: object, random: torch.Generator) -> list[View]:
        order = torch.arange(len(example.pose)).flip(0)
        return [View(example.pose[order], order)]

    (shown,) = drawn([example], Drawing(backwards, None, 0), None, 0)
    assert torch.equal(shown.further["frame"], example.further["frame"].flip(0))


def test_a_clip_that_follows_another_one_has_its_pictures_too(corpus: Corpus) -> None:
    clips = corpus.examples[:4]
    for joined, own in zip(drawn(clips, Drawing(as_they_are, None, 1), Joining(1.0, 5, 3), 0), clips, strict=True):
        pictures = joined.further["frame"]
        assert len(pictures) == len(joined.pose) > len(own.pose) + 3
        assert torch.equal(pictures[-len(own.pose) :], own.further["frame"])
        held = pictures[-len(own.pose) - 4 : -len(own.pose)]
        assert torch.equal(held, held[:1].expand_as(held)), "the last picture is held over the passage"


def test_a_batch_names_its_inputs(corpus: Corpus) -> None:
    batch = collate(corpus.examples[:3]).to(torch.device("cpu"))
    assert isinstance(batch.inputs, dict)
    assert batch.inputs["pose"] is batch.x
    assert batch.inputs["frame"].shape[:2] == batch.x.shape[:2]


def test_what_does_not_fit_is_refused_with_a_sentence(tmp_path: Path) -> None:
    rooms = write_rooms(tmp_path / "rooms", train=2, test=1)
    assert "prepared at 10 Hz, not at 15" in problems(rooms, rate_hz=15.0)
    assert "prepared as 32 x 32, letterbox" in problems(rooms, FRAMES.model_copy(update={"height": 64}))
    table = (rooms / PICTURES_TABLE).read_text()
    (rooms / PICTURES_TABLE).write_text("\n".join(table.splitlines()[:-1]))
    assert "stay2.mkv: is not prepared" in problems(rooms)
    (rooms / PICTURES_TABLE).write_text(table)
    array = rooms / PICTURES_FOLDER / "stay0-0.npy"
    np.save(array, np.load(array)[:5])
    assert "films/stay0.mkv ends after 0.50 s, before the joints do" in problems(rooms)
    (rooms / PICTURES_FILE).unlink()
    assert "inkling train prepare pictures" in problems(rooms)
    rows = read_rows(rooms)
    write_rows(rooms, [row | {"video": "" if i == 1 else row["video"]} for i, row in enumerate(rows)])
    assert "has no video; a network on joints and pictures needs the column 'video'" in problems(rooms)
    write_rows(rooms, [row | {"video": "../film.mkv"} for row in rows])
    with pytest.raises(DataError, match="a video must lie inside the data set's folder"):
        read(rooms)
