from __future__ import annotations

import inspect
from pathlib import Path

from inkling.models import errors


def test_everything_raised_on_purpose_is_an_inkling_error_that_the_tree_names() -> None:
    classes = [item for _, item in inspect.getmembers(errors, inspect.isclass) if item.__module__ == errors.__name__]
    assert len(classes) > 5
    for kind in classes:
        assert issubclass(kind, errors.InklingError)
        assert kind.__name__ in (errors.__doc__ or "")


def test_a_bundle_error_says_where_and_why() -> None:
    error = errors.BundleCorrupt("zoo/tiny/1", "step.onnx is missing")
    assert (error.path, error.reason) == (Path("zoo/tiny/1"), "step.onnx is missing")
    assert str(error) == "zoo/tiny/1: step.onnx is missing"
