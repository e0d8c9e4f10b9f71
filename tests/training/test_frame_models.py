"""Frames all the way: videos -> prepared clips -> teacher and student -> figures -> a bundle that verifies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from inkling.models.bundle import load, verify_graph
from inkling.models.bundle.schema import FrameInput
from inkling.models.networks import FrameConfig, StudentConfig, frame_student
from inkling.training.cli import main
from inkling.training.data.corpus import load_corpus, segments
from inkling.training.data.folds import draw_fold
from inkling.training.data.loader import Drawing, Windows, plain_batches, training_batches
from inkling.training.errors import ConfigError, DataError, ExportError
from inkling.training.evaluate.early_warning import measure_folds
from inkling.training.evaluate.evaluation import evaluate_bundle, evaluate_run
from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.export.bundle import export
from inkling.training.export.parity import check_parity
from inkling.training.export.rough_streams import rough_frames
from inkling.training.export.step_graph import step_onnx
from inkling.training.fit import fit
from inkling.training.labels import UNLABELLED
from inkling.training.prepare.videos import plan_of, prepare
from inkling.training.run import Run
from inkling.training.scores import ratio_logits
from tests.training.support import as_they_are
from tests.training.videos import frame_recipe, write_drops

RECIPE = frame_recipe()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("frames")
    write_drops(root / "videos")
    assert RECIPE.frames is not None
    prepare(root / "videos", root / "data" / "drops", plan_of(RECIPE.frames, RECIPE.rate_hz), workers=1)
    return root / "data"


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(RECIPE, tmp_path_factory.mktemp("runs") / "drops", data, device="cpu")


def test_a_corpus_has_recordings_with_a_target_for_each_step(data: Path) -> None:
    corpus = load_corpus(RECIPE, data)
    assert corpus.labels == ("fall", "quiet")
    assert corpus.input == FrameInput(kind="frame", height=32, width=32)
    drop = next(e for e in corpus.examples if e.group == "drops/d0")
    assert drop.step_targets is not None
    assert drop.step_targets.tolist() == [1] * 10 + [0] * 10
    assert drop.target == 0
    with pytest.raises(TypeError, match="no skeleton"):
        _ = corpus.skeleton


def test_a_recording_is_measured_segment_by_segment_led_in_by_what_came_before(data: Path) -> None:
    corpus = load_corpus(RECIPE, data)
    test = corpus.tests()["drops"]
    assert (
        sorted((e.target, e.lead, len(e.pose)) for e in test) == [(0, 10, 20)] * 2 + [(1, 0, 10)] * 2 + [(1, 0, 20)] * 2
    )
    answers = torch.zeros(20, 2)
    answers[:10, 1], answers[10:, 0] = 1, 1  # right at every step: quiet, then falling
    logits, targets = ratio_logits(lambda x: answers[: x.shape[1]].expand(len(x), -1, -1), [e for e in test if e.lead])
    assert (logits.argmax(-1) == targets[:, None]).all()


def test_unlabelled_stretches_are_no_segments(data: Path) -> None:
    example = load_corpus(RECIPE, data).examples[0]
    targets = torch.tensor([UNLABELLED] * 3 + [1] * 4 + [UNLABELLED] * 3 + [0] * 10)
    found = segments(type(example)(example.pose, 0, "s", "test", "g", targets))
    assert [(e.target, e.lead, len(e.pose)) for e in found] == [(1, 3, 7), (0, 10, 20)]


def test_windows_hold_the_last_frame_without_a_label(data: Path) -> None:
    example = load_corpus(RECIPE, data).examples[0]
    cut = Windows(30, 1.0).cut(example, torch.Generator().manual_seed(0))
    assert cut.pose.shape == (30, 32, 32, 3)
    assert torch.equal(cut.pose[20:], example.pose[-1:].expand(10, -1, -1, -1))
    assert cut.step_targets is not None
    assert (cut.step_targets[20:] == UNLABELLED).all()
    assert example.step_targets is not None
    assert torch.equal(cut.step_targets[:20], example.step_targets)


def test_windows_begin_anywhere_and_take_their_targets_along(data: Path) -> None:
    example = next(e for e in load_corpus(RECIPE, data).examples if e.group == "drops/d0")
    begins = set()
    for seed in range(30):
        cut = Windows(5, 1.0).cut(example, torch.Generator().manual_seed(seed))
        assert cut.step_targets is not None
        place = next(i for i in range(16) if torch.equal(example.pose[i : i + 5], cut.pose))
        begins.add(place)
        if (example.pose[place : place + 5] != example.pose[place]).any():  # of a still stretch any place is right
            assert torch.equal(cut.step_targets, example.step_targets[place : place + 5])  # type: ignore[index]
    assert len(begins) > 3


def test_batches_of_frames_are_small_uint8_windows(data: Path) -> None:
    corpus = load_corpus(RECIPE, data)
    fold = draw_fold(corpus, RECIPE, 0)
    drawing = Drawing(as_they_are, Windows(12, 1.2), 0)
    batch = next(iter(training_batches(fold.train, drawing, 4, 0)))
    assert batch.x.shape == (4, 12, 32, 32, 3)
    assert batch.x.dtype == torch.uint8
    assert batch.weight.dtype == torch.float32
    assert max(len(indices) for indices, _ in plain_batches(corpus.examples)) == 4
    groups = {e.group for e in fold.train} & {e.group for e in fold.val}
    assert not groups


def test_the_student_goes_on_from_the_teachers_eyes(run: Run) -> None:
    result = run.chosen()
    assert result.teacher_auc is not None
    assert result.frame == FrameInput(kind="frame", height=32, width=32)
    student = run.student(result)
    assert sum(p.numel() for p in student.extractor.parameters()) > 1000


def test_a_run_is_measured_in_other_light_and_noise(run: Run, data: Path) -> None:
    report = evaluate_run(run, data).sets["drops"]
    assert set(report.conditions) == {"clean", "half the light", "noise of 10 grey levels"}
    assert report.clips == 6


def test_a_bundle_of_frames_verifies_and_is_measured_as_its_run(run: Run, data: Path, tmp_path: Path) -> None:
    path = export(run, tmp_path, "1", evaluation=evaluate_run(run, data))
    bundle = load(path)
    verify_graph(bundle, OnnxGraph(bundle.step))
    assert bundle.spec.input == FrameInput(kind="frame", height=32, width=32)
    assert bundle.spec.background == "quiet"
    assert {"seen_grey", "hidden"} <= {s.input for s in bundle.spec.state}
    assert "frames of 32 x 32 pixels" in (path / "card.md").read_text()
    of_run, of_bundle = evaluate_run(run, data), evaluate_bundle(path, RECIPE, data)
    assert of_run.sets["drops"].conditions["clean"] == of_bundle.sets["drops"].conditions["clean"]


@pytest.mark.parametrize(
    ("backbone", "motion", "steps"),
    [("resnet_small", True, 500), ("resnet_small", False, 60), ("mobilenet_v2", False, 60), ("resnet18", False, 60)],
)
def test_onnx_equals_torch_step_by_step(backbone: str, motion: bool, steps: int) -> None:
    torch.manual_seed(0)
    config = FrameConfig.model_validate(
        {"height": 32, "width": 32, "channels": 8, "backbone": backbone, "motion": motion}
    )
    student = frame_student(StudentConfig(hidden=8, widths=(8,)), config, 10.0, 3).eval()
    takes = FrameInput(kind="frame", height=32, width=32)
    graph = OnnxGraph(step_onnx(student, [takes], "net", "1"))
    frames = rough_frames(takes, steps, 2)
    assert check_parity(student, graph, frames, input_name="frame", sequence_steps=48) < 1e-4


def test_parity_notices_another_network() -> None:
    takes = FrameInput(kind="frame", height=32, width=32)
    config = FrameConfig(height=32, width=32, channels=8)
    students = [frame_student(StudentConfig(hidden=8, widths=(8,)), config, 10.0, 3).eval() for _ in range(2)]
    graph = OnnxGraph(step_onnx(students[0], [takes], "net", "1"))
    with pytest.raises(ExportError, match="off torch"):
        check_parity(students[1], graph, rough_frames(takes, 5, 2), input_name="frame")


def test_warnings_are_measured_over_folds(run: Run, data: Path, tmp_path: Path) -> None:
    for fold in ("1", "2"):
        (tmp_path / fold).mkdir()
        (tmp_path / fold / "drops").symlink_to(data / "drops")
    figures = measure_folds([run, run], tmp_path, "falling")
    found = figures.figures["drops, 2 folds"]
    assert found["warning"]["events"] == 4
    assert found["clips"] == 12
    assert " of 4 | " in figures.text


def test_clips_that_were_prepared_otherwise_are_refused(data: Path) -> None:
    frames = {"height": 32, "width": 64, "channels": 8}
    with pytest.raises(DataError, match="prepared as 32 x 32"):
        load_corpus(frame_recipe(frames=frames), data)
    with pytest.raises(DataError, match="prepared at 10 Hz"):
        load_corpus(frame_recipe(rate_hz=12.0), data)


def test_features_of_a_frozen_backbone_train_a_whole_bundle(data: Path, tmp_path: Path, shared_data: Path) -> None:
    weights = str(shared_data / "weights" / "mobilenet_v2_imagenet.pth")
    frames = {
        "height": 32, "width": 32, "backbone": "mobilenet_v2", "shift": False, "frozen": True, "weights": weights,
    }  # fmt: skip
    recipe = frame_recipe(frames=frames, fit={"epochs": 1, "batch_size": 4})
    assert recipe.frames is not None
    plan = plan_of(recipe.frames, recipe.rate_hz)
    prepare(data.parent / "videos", tmp_path / "drops", plan, workers=1)
    run = fit(recipe, tmp_path / "run", tmp_path, device="cpu")
    path = export(run, tmp_path / "bundles", "1")
    bundle, graph = load(path), OnnxGraph(load(path).step)
    # the bundle takes frames, the fit took features of the same frames: their answers must agree
    features, pictures = load_corpus(recipe, tmp_path).examples[0].pose, load_corpus(RECIPE, data).examples[0].pose
    state = {s.input: np.full((1, *s.shape), s.initial, s.dtype) for s in bundle.spec.state}
    student = run.student(run.chosen())
    with torch.no_grad():
        expected = student(features[None])[0].numpy()
    for i, picture in enumerate(pictures.numpy()):
        found = graph.run({"frame": picture[None], **state})
        np.testing.assert_allclose(found["logits"][0], expected[i], atol=1e-3)
        state = {s.input: found[s.output] for s in bundle.spec.state}


def test_the_verbs_prepare_measure_and_export(
    run: Run, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos, out = data.parent / "videos", tmp_path / "drops"
    size = ["--height", "32", "--width", "32", "--rate", "10", "--workers", "1"]
    assert main(["prepare", "videos", str(videos), str(out), *size]) == 0
    assert "12 recordings" in capsys.readouterr().out
    assert load_corpus(RECIPE, tmp_path).digest() == load_corpus(RECIPE, data).digest()
    for fold in ("1", "2"):
        (tmp_path / fold).mkdir()
        (tmp_path / fold / "drops").symlink_to(data / "drops")
    figures, folder = tmp_path / "figures.json", str(run.directory)
    arguments = ["--folds", str(tmp_path), "--of", "falling", "--out", str(figures)]
    assert main(["warnings", folder, folder, *arguments]) == 0
    assert main(["export", folder, str(tmp_path / "bundles"), "--version", "2", "--figures", str(figures)]) == 0
    bundle = load(tmp_path / "bundles" / "drops" / "2")
    assert bundle.spec.quality["drops, 2 folds"]["clips"] == 12
    assert "Cross-validation in 2 folds" in (bundle.path / "card.md").read_text()


def test_prepare_as_a_recipe_on_poses_says_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "videos", str(tmp_path), str(tmp_path / "out"), "--recipe", "body-actions"]) == 1
    assert "is on poses" in capsys.readouterr().err


def test_warnings_need_two_folds_and_a_label_that_the_model_knows(run: Run, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least two"):
        measure_folds([run], tmp_path, "falling")
    with pytest.raises(ConfigError, match="does not know 'jumping'"):
        measure_folds([run, run], tmp_path, "jumping")
