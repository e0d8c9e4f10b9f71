from __future__ import annotations

from pathlib import Path

from inkling.models.bundle import load
from inkling.service.inputs.wants import takes_both, unsupported
from tests.joints_and_picture import make_both_bundle
from tests.support import make_bundle, make_frame_bundle


def test_the_refusal_says_what_the_bundle_wants(tmp_path: Path) -> None:
    both, poses, frames = (load(make(tmp_path)).spec for make in (make_both_bundle, make_bundle, make_frame_bundle))
    assert [takes_both(spec) for spec in (both, poses, frames)] == [True, False, False]
    assert str(unsupported(both, "pose")) == (
        "bundle tiny-both takes a person's joints together with the picture that they are in: send pictures "
        "(input 'frame'), in which the server finds the joints itself"
    )
    assert "load a people bundle" in str(unsupported(both, "frame", perception=False))
    assert str(unsupported(frames, "pose", perception=False)) == "bundle tiny-frames takes input 'frame', not 'pose'"
    said = str(unsupported(poses, "frame", perception=False))
    assert said.startswith("bundle tiny takes input 'pose', not 'frame'; to have people found")
