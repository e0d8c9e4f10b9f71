from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from inkling.training.hyperparameters import hyperparameters, write_hyperparameters
from tests.training.support import tiny_recipe


def events(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tensorboard's own imports
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def test_hyperparameters_are_dotted_and_plain() -> None:
    shown = hyperparameters(tiny_recipe())
    assert shown["fit.epochs"] == 3
    assert shown["student.widths"] == "[16]"
    assert "name" not in shown
    assert all(isinstance(value, int | float | str | bool) for value in shown.values())


def test_tensorboard_reads_them_beside_the_final_figure_of_the_seed(tmp_path: Path) -> None:
    for auc in (0.5, 0.75):  # the second fit of a seed takes the place of the first
        write_hyperparameters(tmp_path, tiny_recipe(), 3, {"validation/auc": auc})
    found = events(tmp_path)
    assert [event.value for event in found.Scalars("validation/auc")] == [0.75]
    tags = found.SummaryMetadata("_hparams_/session_start_info")
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    data = HParamsPluginData.FromString(tags.plugin_data.content)
    shown = data.session_start_info.hparams
    assert shown["fit.epochs"].number_value == 3
    assert shown["seed"].number_value == 3
    assert shown["recipe"].string_value == "tiny"
