from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inkling.models.bundle import PeopleBundle, PeopleVector, load_people
from tests.people_bundle import make_people_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> PeopleBundle:
    return load_people(make_people_bundle(tmp_path_factory.mktemp("bundles")))


def test_a_vector_reads_as_it_was_written(bundle: PeopleBundle) -> None:
    again = PeopleVector.from_npz(bundle.vector.to_npz(), bundle.spec)
    assert np.array_equal(again.images, bundle.vector.images)
    assert all(np.array_equal(again.outputs[name], array) for name, array in bundle.vector.outputs.items())
    assert again.to_npz() == bundle.vector.to_npz()


def test_bytes_that_are_no_vector_are_refused(bundle: PeopleBundle) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        PeopleVector.from_npz(b"PK", bundle.spec)
    lacking = replace(bundle.vector, outputs={"scores": bundle.vector.outputs["scores"]})
    with pytest.raises(ValueError, match=r"needs the array 'output\.boxes'"):
        PeopleVector.from_npz(lacking.to_npz(), bundle.spec)


def test_what_does_not_fit_the_spec_is_refused(bundle: PeopleBundle) -> None:
    good = bundle.vector
    images, outputs = good.images, good.outputs
    good.check(bundle.spec)
    for bad, reason in (
        (replace(good, images=images[:1]), "2 or more"),
        (replace(good, images=images.astype(np.int64)), "must be uint8"),
        (replace(good, images=images[:, :60]), "60 x 96: no multiples of 32"),
        (replace(good, outputs=outputs | {"boxes": outputs["boxes"][..., :3]}), "'boxes' has another shape"),
        (replace(good, outputs=outputs | {"scores": outputs["scores"][:1]}), "'scores' has another shape"),
        (replace(good, outputs=outputs | {"scores": np.full_like(outputs["scores"], np.nan)}), "finite"),
    ):
        with pytest.raises(ValueError, match=reason):
            bad.check(bundle.spec)


def test_pictures_of_another_size_than_the_only_one_are_refused(bundle: PeopleBundle, tmp_path: Path) -> None:
    spec = load_people(make_people_bundle(tmp_path, input={"height": 64, "width": 64, "fixed": True})).spec
    with pytest.raises(ValueError, match="64 x 96, not 64 x 64"):
        bundle.vector.check(spec)
