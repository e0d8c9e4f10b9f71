from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.bundle import BundleSpec, TestVector
from inkling.models.bundle.loader import read_spec
from tests.support import TinyReference, make_bundle, poses

INPUTS = poses(3, 2)
VECTOR = TestVector(INPUTS, TinyReference().run(INPUTS))


@pytest.fixture
def spec(tmp_path: Path) -> BundleSpec:
    return read_spec(make_bundle(tmp_path))


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_a_vector_comes_back_as_it_was_written() -> None:
    again = TestVector.from_npz(VECTOR.to_npz())
    assert again.inputs.dtype == again.logits.dtype == np.float32
    assert np.array_equal(again.inputs, VECTOR.inputs)
    assert np.array_equal(again.logits, VECTOR.logits)


def test_equal_vectors_give_equal_bytes() -> None:
    assert VECTOR.to_npz() == TestVector(INPUTS.copy(), VECTOR.logits.copy()).to_npz()


def test_an_array_of_objects_is_never_unpickled() -> None:
    data = npz(input=np.array([{"code": "to run"}], dtype=object), logits=VECTOR.logits)
    with pytest.raises(ValueError, match=r"cannot be read.*Python objects"):
        TestVector.from_npz(data)


def test_a_file_without_the_two_arrays_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the arrays 'input' and 'logits'"):
        TestVector.from_npz(npz(input=INPUTS))


def test_a_single_array_or_no_file_at_all_is_refused() -> None:
    single = io.BytesIO()
    np.save(single, INPUTS)
    for data in (single.getvalue(), b"", b"no npz", b"PK\x03\x04"):
        with pytest.raises(ValueError, match="cannot be read"):
            TestVector.from_npz(data)


@given(st.data())
def test_a_damaged_file_gives_a_vector_or_a_value_error(data: st.DataObject) -> None:
    damaged = bytearray(VECTOR.to_npz())
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    try:
        vector = TestVector.from_npz(bytes(damaged[:cut]))
    except ValueError:
        return
    assert isinstance(vector.inputs, np.ndarray)


def test_a_vector_of_its_spec_passes(spec: BundleSpec) -> None:
    VECTOR.check(spec)


@pytest.mark.parametrize(
    ("inputs", "logits", "sentence"),
    [
        (INPUTS[:2], VECTOR.logits[:2], "needs 3 steps of 2 rows, it has 2 of 2"),
        (INPUTS[:, :1], VECTOR.logits[:, :1], "needs 3 steps of 2 rows, it has 3 of 1"),
        (np.zeros(3, np.float32), VECTOR.logits, "needs 3 steps of 2 rows, it has 0 of 0"),
        (INPUTS[:, :, :5], VECTOR.logits, r"'input' must be float32 \(3, 2, 13, 3\), it is float32 \(3, 2, 5, 3\)"),
        (INPUTS.astype(np.float64), VECTOR.logits, r"'input' must be float32 .* it is float64"),
        (INPUTS, VECTOR.logits[..., :2], r"'logits' must be float32 \(3, 2, 3\), it is float32 \(3, 2, 2\)"),
        (INPUTS, VECTOR.logits * np.float32(np.nan), "must be finite"),
    ],
)
def test_a_vector_of_another_model_is_refused(spec: BundleSpec, inputs: Any, logits: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        TestVector(inputs, logits).check(spec)
