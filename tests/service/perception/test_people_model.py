from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inkling.models.bundle import load_people
from inkling.models.errors import BundleInvalid
from inkling.models.people.tracker import SURE_SCORE
from inkling.models.skeletons import get
from inkling.service.perception.people_model import people_model
from inkling.service.perception.perception_options import PerceptionOptions
from tests.coloured_people import RED, coloured_people, room
from tests.people_bundle import make_people_bundle


def test_a_bundle_is_loaded_warmed_and_finds_people(tmp_path: Path) -> None:
    model = people_model(load_people(make_people_bundle(tmp_path)), PerceptionOptions(), threads=1)
    (found,) = model.estimator.estimate([model.estimator.prepare(room({RED: (8, 10, 40, 90)}))])
    assert found.boxes.tolist() == [[8, 10, 40, 90]]
    assert model.name == "colours/1"


def test_what_the_settings_say_is_said_in_place_of_the_bundle(tmp_path: Path) -> None:
    options = PerceptionOptions(longer_side=250, max_people=1, begin_score=0.5, keep_score=0.3)
    model = people_model(load_people(make_people_bundle(tmp_path)), options, threads=1)
    assert (model.spec.max_people, model.spec.thresholds.begin, model.spec.thresholds.keep) == (1, 0.5, 0.3)
    assert (model.size(options).height, model.size(options).width) == (192, 256), "up to a multiple"


def test_a_stream_may_ask_for_fewer_people_and_other_scores() -> None:
    model = coloured_people()
    assert model.most(PerceptionOptions(max_people=2)) == 2
    assert model.most(PerceptionOptions(max_people=60)) == model.most(PerceptionOptions()) == 3
    config = model.tracker(PerceptionOptions(begin_score=0.6, keep_score=0.9), lost_s=2.0)
    assert (config.begin_score, config.sure_score, config.keep_score, config.lost_s) == (0.6, 0.6, 0.6, 2.0)
    config = model.tracker(PerceptionOptions(), lost_s=1.0)
    assert config.sure_score == max(SURE_SCORE, config.begin_score)


def test_people_whose_skeleton_nobody_knows_are_refused(tmp_path: Path) -> None:
    odd = get("coco17").model_copy(update={"name": "odd"})
    bundle = load_people(make_people_bundle(tmp_path, skeleton=odd))
    with pytest.raises(BundleInvalid, match="cannot be tracked"):
        people_model(bundle, PerceptionOptions(), threads=1)


def test_pictures_of_nobody_have_nobody() -> None:
    model = coloured_people()
    (found,) = model.estimator.estimate([model.estimator.prepare(np.zeros((96, 128, 3), np.uint8))])
    assert len(found) == 0
