from __future__ import annotations

from xml.etree import ElementTree

from inkling.service.cli.picture import draw
from tests.service.client.peer import Peer, listening


def test_the_picture_is_an_svg_of_the_screen() -> None:
    with listening(Peer()) as url:
        svg = draw(url, "body-actions", "jumping_jacks", 0.4)
    assert ElementTree.fromstring(svg).tag.endswith("svg")  # noqa: S314 -- our own
    for words in ("jumping&#160;jacks", "certainty&#160;over&#160;time", "elapsed", "█"):
        assert words in svg
