"""Check a people bundle's graph, through whatever runtime: names, shapes, and the numbers of the test vector."""

from __future__ import annotations

import numpy as np

from inkling.models.bundle.loader import PeopleBundle
from inkling.models.bundle.verify import StepGraph, Wanted, check_side
from inkling.models.errors import BundleDisagrees, BundleInvalid


def verify_people(bundle: PeopleBundle, graph: StepGraph) -> None:
    """Raise BundleInvalid unless the graph has the tensors of the spec, each with a free batch axis, and
    BundleDisagrees unless it reproduces the stored vector, all pictures together and each picture alone.
    """
    spec = bundle.spec
    given = spec.input
    size = (given.height, given.width) if given.fixed else (None, None)
    check_side(bundle.path, "the graph's inputs", {given.name: Wanted("input", "uint8", (*size, 3))}, graph.inputs)
    if not given.fixed and graph.inputs[given.name][1][1:3] != (None, None):
        raise BundleInvalid(
            bundle.path, f"the graph's input {given.name!r} has a size of its own; give it free sides, or say fixed"
        )
    heads = {name: Wanted("output", "float32", shape) for name, shape in spec.outputs.items()}
    check_side(bundle.path, "the graph's outputs", heads, graph.outputs)
    images = bundle.vector.images
    runs = [("together", slice(0, len(images)))]
    runs += [(f"for picture {row} alone", slice(row, row + 1)) for row in range(len(images))]
    for what, rows in runs:
        try:
            outputs = graph.run({given.name: np.ascontiguousarray(images[rows])})
        except Exception as error:  # each runtime has errors of its own
            raise BundleInvalid(bundle.path, f"the graph fails on its test vector {what}: {error}") from error
        for name in spec.decoder.names:
            found, expected = outputs[name], bundle.vector.outputs[name][rows]
            if found.shape != expected.shape:
                raise BundleInvalid(
                    bundle.path, f"the test vector {what} gives {name!r} {found.shape}, not {expected.shape}"
                )
            worst = float(np.abs(found - expected).max(initial=0))
            if not worst <= spec.tolerance:  # NaN is no difference that is allowed
                raise BundleDisagrees(
                    bundle.path,
                    f"the test vector {what} is off by {worst:.2g} in {name!r}; {spec.tolerance:g} is allowed",
                )
