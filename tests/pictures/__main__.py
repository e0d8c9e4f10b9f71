"""python -m tests.pictures [NAME …]: draw the pictures of the documentation anew, all of them or those named."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from inkling.service.settings import Settings
from tests.pictures import annotated, board, fall, flow, observed_share, skeletons
from tests.service.conftest import running

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
DRAWN: dict[str, Callable[[], str]] = {
    "flow": flow.draw,
    "skeletons": skeletons.draw,
    "observed_share": observed_share.draw,
}
"""Pictures that are the same each time."""


def fall_watched() -> str:
    with running(Settings(port=0, load=("fall-watch",))) as server:
        return fall.draw(server.url)


def figure_annotated() -> str:
    with running(Settings(port=0, load=("body-actions",))) as server:
        return annotated.draw_svg(server.url)


MEASURED: dict[str, Callable[[], str]] = {"fall": fall_watched, "board": board.draw, "annotated": figure_annotated}
"""Pictures with numbers of a running server."""


def main() -> None:
    names = [*DRAWN, *MEASURED]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *names], metavar="NAME")
    for name in parser.parse_args().names or names:
        (FOLDER / f"{name}.svg").write_text({**DRAWN, **MEASURED}[name](), encoding="utf-8")


if __name__ == "__main__":
    main()
