"""Two stages from a data set of joints and pictures to a bundle that serves both, by stream and by clip."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest
import torch

from inkling.models.bundle import load
from inkling.service.protocol.codec import Prediction
from inkling.service.protocol.image_binary import pack_image
from inkling.training.evaluate.evaluation import evaluate_bundle, evaluate_run
from inkling.training.evaluate.onnx_graph import verified_graph
from inkling.training.export.bundle import export
from inkling.training.fit import fit
from inkling.training.run import Run
from tests.films import make_film
from tests.people_bundle import make_people_bundle
from tests.service.conftest import WAIT_S, finish, opened, running, say, settled, tiny_settings
from tests.training.rooms import RATE_HZ, rooms_recipe, scene, write_rooms


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_rooms(root / "rooms")
    return root


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(rooms_recipe(), tmp_path_factory.mktemp("runs") / "run", data, device="cpu")


def test_it_is_trained_with_a_teacher_for_each_stage_and_comes_back_as_it_was(run: Run, data: Path) -> None:
    assert (run.seed_directory(0) / "teacher.pt").exists()
    result = run.chosen()
    assert [given.name for given in result.inputs] == ["pose", "frame"]
    measured = evaluate_run(run, data)
    assert measured.sets["rooms"].clips == 4
    assert "no joints at all" in measured.sets["rooms"].conditions
    again = Run.open(run.directory)
    assert again.recipe == run.recipe
    x = {"pose": torch.rand(1, 3, 17, 3), "frame": torch.zeros(1, 3, 32, 32, 3, dtype=torch.uint8)}
    with torch.no_grad():
        assert torch.equal(again.student(result)(x), run.student(result)(x))


def test_its_bundle_serves_streams_and_clips_alike(run: Run, data: Path, tmp_path: Path) -> None:
    path = export(run, tmp_path / "bundles", "1")
    bundle = load(path)
    assert [given.name for given in bundle.spec.inputs] == ["pose", "frame"]
    assert "RGB frames of 32 x 32" in (path / "card.md").read_text()
    verified_graph(bundle)
    of_network, of_bundle = evaluate_run(run, data), evaluate_bundle(path, run.recipe, data)
    assert of_bundle.sets["rooms"].by_label == of_network.sets["rooms"].by_label
    make_people_bundle(tmp_path / "bundles")
    _, pictures = scene("leave", 12, 3)
    film = make_film(tmp_path / "film.mkv", pictures, RATE_HZ)
    settings = tiny_settings(tmp_path / "bundles", load=("rooms",), people_bundle="colours")
    with running(settings) as server:
        with opened(server, bundle="rooms", input="frame", policy="block") as socket:
            heard = []
            for seq, picture in enumerate(pictures):
                say(socket, pack_image(seq, picture, seq / RATE_HZ))
            heard = settled(socket)
            finish(socket)
        answer = httpx.post(f"{server.url}/v1/clips?bundle=rooms", content=film.read_bytes(), timeout=WAIT_S).json()
    predictions = [message for message in heard if isinstance(message, Prediction)]
    assert [p.seq for p in predictions] == list(range(12))
    assert [row["seq"] for row in answer["timeline"]] == list(range(12))
    for row, prediction in zip(answer["timeline"], predictions, strict=True):
        assert row["probabilities"] == pytest.approx(prediction.probabilities, abs=2e-5)
    assert np.isfinite([p.probabilities for p in predictions]).all()
