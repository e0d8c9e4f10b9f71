"""The README's picture of the demo: a still of its screen, from a running server.

python -m inkling.service.cli.picture service/demo/demo.svg --action jumping_jacks --seconds 2.4
"""

from __future__ import annotations

import argparse
import io
import re
from pathlib import Path

from rich.console import Console

from inkling.service.cli import screen
from inkling.service.cli.live import Feed, show
from inkling.service.client.blocking import Client
from inkling.service.client.target import BUNDLE, DEFAULT_URL
from inkling.service.demo.figure import ACTIONS

COLUMNS, LINES = 100, 30
"""Of the terminal in the picture."""


def draw(url: str, bundle: str, action: str, seconds: float) -> str:
    """SVG of what the demo shows `seconds` after a figure began `action`."""
    feed = Feed()
    still = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    with Client(url).stream(bundle, skeleton="coco17", on_event=feed.event) as stream:
        show(stream, feed, action, seconds, Console(file=io.StringIO()), plain=True)
        still.print(screen.view(feed.scene, screen.Layout(COLUMNS, LINES)))  # before the stream ends, and all actions
    svg = still.export_svg(title="inkling demo", unique_id="inkling-demo")
    # The picture must not fetch anything from whoever looks at it: their own monospaced font will do.
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--url", default=DEFAULT_URL)
    parser.add_argument("--bundle", default=BUNDLE)
    parser.add_argument("--action", choices=ACTIONS, default="jumping_jacks")
    parser.add_argument("--seconds", type=float, default=2.4)
    args = parser.parse_args()
    args.out.write_text(draw(args.url, args.bundle, args.action, args.seconds), encoding="utf-8")


if __name__ == "__main__":
    main()
