from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from inkling.training.files import load_weights, save_weights, write_text


def test_weights_come_back_as_they_were_saved(tmp_path: Path) -> None:
    torch.manual_seed(0)
    one, other = nn.Linear(3, 2), nn.Linear(3, 2)
    save_weights(one, tmp_path / "weights.pt")
    load_weights(other, tmp_path / "weights.pt")
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
    assert [path.name for path in tmp_path.iterdir()] == ["weights.pt"]


def test_weights_that_are_code_are_not_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "harm",)

    torch.save({"weight": Harm()}, tmp_path / "weights.pt")
    with pytest.raises(pickle.UnpicklingError, match="weights_only"):
        load_weights(nn.Linear(3, 2), tmp_path / "weights.pt")
    assert not (tmp_path / "harm").exists()


def test_text_is_written_whole_over_what_was_there(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", "one")
    write_text(tmp_path / "a.json", "zwölf")
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == "zwölf"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", "one")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.json", "two \ud800")
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == "one"
