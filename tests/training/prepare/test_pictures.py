from __future__ import annotations

from pathlib import Path

import numpy as np

from inkling.models.networks import FrameConfig
from inkling.training.data.corpus import load_corpus
from inkling.training.prepare.pictures import prepare
from inkling.training.prepare.videos import plan_of
from tests.films import make_film
from tests.training.rooms import ACTIONS, RATE_HZ, rooms_recipe, scene, write_rooms


def test_the_films_of_a_data_set_become_features_beside_its_joints_once(tmp_path: Path) -> None:
    rooms = write_rooms(tmp_path / "rooms", train=2, test=1, prepared=False)
    (rooms / "films").mkdir()
    for which, action in enumerate(ACTIONS):
        for i in range(3):
            _, pictures = scene(action, 12 + i % 5, 7 * i + which)
            make_film(rooms / "films" / f"{action}{i}.mkv", pictures, RATE_HZ)
    recipe = rooms_recipe()
    assert isinstance(recipe.frames, FrameConfig)
    plan = plan_of(recipe.frames, RATE_HZ)
    done = prepare(rooms, plan, workers=1)
    assert (done.films, done.made) == (6, 6)
    assert prepare(rooms, plan, workers=1).made == 0
    corpus = load_corpus(recipe, tmp_path)
    for example in corpus.examples:
        features = example.further["frame"]
        assert features.shape == (len(example.pose), 64)
        assert np.isfinite(features.numpy()).all()
