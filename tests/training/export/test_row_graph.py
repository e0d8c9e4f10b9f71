"""`rows.onnx` as export writes it: a sound ONNX file that steps any rows of its slabs as `step.onnx` steps a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from inkling.models.arrays import Array
from inkling.models.bundle import Bundle, Registry, initial_state, load, verify_rows, zoo_directory
from inkling.models.bundle.onnx_header import read_header
from inkling.models.bundle.rows import RESULT, ROWS, next_slab, slab
from inkling.models.bundle.schema import StateTensor
from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.export.quantise import quantised
from inkling.training.export.row_graph import rows_onnx
from inkling.training.export.step_graph import step_onnx, tidied
from tests.support import make_bundle, make_frame_bundle
from tests.training.export.networks import TAKES, student

ZOO = {found.name: found.path for found in Registry([zoo_directory()]).scan("step")}


def written(bundle: Bundle) -> bytes:
    """The rows of a bundle, written anew."""
    return rows_onnx(bundle.step, bundle.spec.logits, bundle.spec.state)


def of_kind(kind: str, root: Path) -> Bundle:
    if kind == "tiny":
        return load(make_bundle(root))
    return load(make_frame_bundle(root) if kind == "frames" else ZOO[kind])


@pytest.mark.parametrize("kind", ["tiny", "frames", *ZOO])
def test_it_is_a_model_that_onnx_itself_finds_right(kind: str, tmp_path: Path) -> None:
    bundle = of_kind(kind, tmp_path)
    model = onnx.load_model_from_string(written(bundle))
    onnx.checker.check_model(model, full_check=True)
    states = bundle.spec.state
    assert [value.name for value in model.graph.input] == [bundle.spec.input.name, ROWS, *map(slab, states)]
    assert [value.name for value in model.graph.output] == [RESULT, *map(next_slab, states)]


@pytest.mark.parametrize("kind", ["tiny", "frames", *ZOO])
def test_the_steps_own_nodes_and_weights_stay_as_they_are(kind: str, tmp_path: Path) -> None:
    bundle = of_kind(kind, tmp_path)
    before = onnx.load_model_from_string(bundle.step).graph
    after = onnx.load_model_from_string(written(bundle)).graph
    nodes = [node.SerializeToString() for node in after.node]
    first = nodes.index(before.node[0].SerializeToString())
    assert nodes[first : first + len(before.node)] == [node.SerializeToString() for node in before.node]
    weights = {tensor.name: tensor.SerializeToString() for tensor in after.initializer}
    assert {tensor.name: tensor.SerializeToString() for tensor in before.initializer}.items() <= weights.items()


def test_opset_and_metadata_stay(tmp_path: Path) -> None:
    bundle = load(make_bundle(tmp_path, opset=18))
    assert read_header(written(bundle)) == read_header(bundle.step)


class Slots:
    """Tracks with a state each, by `step.onnx` on one side and in slabs by `rows.onnx` on the other."""

    def __init__(self, step: bytes, rows: bytes, states: tuple[StateTensor, ...], most: int, input_name: str) -> None:
        self.step, self.rows = OnnxGraph(step), OnnxGraph(rows)
        self.states, self.input_name, self.most = states, input_name, most
        self.rng = np.random.default_rng(0)
        self.alone = [self._initial(1) for _ in range(most)]
        self.slabs = {slab(s): array for s, array in zip(states, self._initial(2 * most).values(), strict=True)}
        self.at = np.arange(most)  # the row of each track; the others are free

    def _initial(self, count: int) -> dict[str, Array]:
        return {s.input: np.full((count, *s.shape), s.initial, s.dtype) for s in self.states}

    def batch(self) -> Array:
        """Some tracks in any order."""
        return self.rng.permutation(self.most)[: self.rng.integers(1, self.most + 1)]

    def step_both(self, tracks: Array, x: Array) -> tuple[Array, Array]:
        """Logits of the batch by either."""
        state = {s.input: np.concatenate([self.alone[t][s.input] for t in tracks]) for s in self.states}
        expected = self.step.run({self.input_name: x, **state})
        for row, track in enumerate(tracks):
            self.alone[track] = {s.input: expected[s.output][row : row + 1] for s in self.states}
        free = np.setdiff1d(np.arange(2 * self.most), self.at)
        target = self.rng.permutation(free)[: len(tracks)]
        found = self.rows.run({self.input_name: x, ROWS: np.stack([self.at[tracks], target], 1), **self.slabs})
        self.slabs = {slab(s): found[next_slab(s)] for s in self.states}
        self.at[tracks] = target
        assert (found[RESULT][:, -1] == 0).all()
        return expected["logits"], found[RESULT][:, :-1]


@pytest.mark.parametrize("kind", ["tiny", "frames", *ZOO])
def test_rows_equal_the_step_over_500_steps_of_random_slots(kind: str, tmp_path: Path) -> None:
    bundle = of_kind(kind, tmp_path)
    takes = bundle.spec.input
    slots = Slots(bundle.step, written(bundle), bundle.spec.state, 5, takes.name)
    for _ in range(500):
        tracks = slots.batch()
        x = slots.rng.uniform(0, 255, (len(tracks), *takes.shape)).astype(takes.dtype)
        expected, found = slots.step_both(tracks, x)
        np.testing.assert_allclose(found, expected, atol=1e-4)
    for s in bundle.spec.state:
        for track, state in enumerate(slots.alone):
            np.testing.assert_allclose(slots.slabs[slab(s)][slots.at[track]], state[s.input][0], rtol=1e-3, atol=1e-3)


def test_a_step_in_eight_bits_has_rows_too() -> None:
    network = student()
    step = tidied(quantised(step_onnx(network, [TAKES], "sticks", "1")), "sticks", "1")
    slots = Slots(step, rows_onnx(step, "logits", network.state_tensors()), network.state_tensors(), 4, "pose")
    for _ in range(50):
        tracks = slots.batch()
        expected, found = slots.step_both(tracks, slots.rng.uniform(0, 9, (len(tracks), *TAKES.shape)).astype("f4"))
        np.testing.assert_allclose(found, expected, atol=1e-4)


def counter(name: str, version: str) -> bytes:
    """A step of two inputs and two states, one of them of integers that count the steps."""

    def value(name: str, kind: int, *shape: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, ["batch", *shape])

    number, whole = TensorProto.FLOAT, TensorProto.INT64
    nodes = [
        helper.make_node("Add", ["seen", "one"], ["seen_next"]),
        helper.make_node("Cast", ["seen_next"], ["times"], to=number),
        helper.make_node("Add", ["left", "right"], ["both"]),
        helper.make_node("Add", ["sum", "both"], ["sum_next"]),
        helper.make_node("Div", ["sum_next", "times"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "counter",
        [value("left", number, 2), value("right", number, 2), value("seen", whole, 1), value("sum", number, 2)],
        [value("logits", number, 2), value("seen_next", whole, 1), value("sum_next", number, 2)],
        [helper.make_tensor("one", whole, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    helper.set_model_props(model, {"name": name, "version": version})
    return bytes(model.SerializeToString())


def test_whole_numbers_are_kept_and_every_input_that_is_no_state_stays_one() -> None:
    states = (
        StateTensor(input="seen", output="seen_next", shape=(1,), dtype="int64"),
        StateTensor(input="sum", output="sum_next", shape=(2,)),
    )
    graph = OnnxGraph(rows_onnx(counter("counter", "1"), "logits", states))
    assert list(graph.inputs) == ["left", "right", ROWS, *map(slab, states)]
    slabs = {slab(s): np.zeros((3, *s.shape), s.dtype) for s in states}
    x = np.array([[2.0, 4.0]], np.float32)
    for step in range(1, 4):
        found = graph.run({"left": x, "right": x, ROWS: np.array([[1, 1]]), **slabs})
        slabs = {slab(s): found[next_slab(s)] for s in states}
        np.testing.assert_allclose(found[RESULT], [[4.0, 8.0, 0.0]])
        assert slabs[slab(states[0])].tolist() == [[0], [step], [0]]


def test_a_row_that_is_not_finite_is_told(tmp_path: Path) -> None:
    bundle = load(make_bundle(tmp_path))
    graph = OnnxGraph(written(bundle))
    x = np.zeros((3, *bundle.spec.input.shape), np.float32)
    x[1, 0, 0] = np.inf
    feeds = {slab(s): initial_state(bundle.spec, 3)[s.input] for s in bundle.spec.state}
    result = graph.run({"pose": x, ROWS: np.array([[0, 0], [1, 1], [2, 2]]), **feeds})[RESULT]
    assert (result[:, -1] == 0).tolist() == [True, False, True]


@pytest.mark.parametrize("name", ZOO)
def test_the_embedded_bundles_carry_what_would_be_written(name: str) -> None:
    bundle = load(ZOO[name])
    assert bundle.rows is not None
    verify_rows(bundle, OnnxGraph(bundle.rows), OnnxGraph(bundle.step))
    found, expected = (onnx.load_model_from_string(data).graph for data in (bundle.rows, written(bundle)))
    assert [node.SerializeToString() for node in found.node] == [node.SerializeToString() for node in expected.node]
