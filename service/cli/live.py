"""Play the figure into a stream in real time and show what comes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console, RenderableType
from rich.live import Live

from inkling.service.cli import screen
from inkling.service.client.blocking import Stream
from inkling.service.client.wording import happening, in_advance
from inkling.service.demo.clip import turns
from inkling.service.demo.figure import pose
from inkling.service.protocol.codec import DecisionMessage, Event, Prediction

RATE_HZ = 30
IMAGE = (460, 560)
HEIGHT = 430.0
"""Of the figure, in pixels: even hanging from a bar it stays within the image."""
CENTRE = (230.0, 332.0)
PLAIN_EVERY_S = 0.5
DRAW_EVERY_S = 1 / 15


@dataclass
class Feed:
    """Collects what a stream says about the figure on show; `event` is the stream's `on_event`."""

    scene: screen.Scene = field(default_factory=lambda: screen.Scene("", ()))
    track: int = 0

    def event(self, event: Event) -> None:
        sign = "▶" if event.phase == "begin" else "■"
        what = happening(event, event.label.replace("_", " "))
        self.scene.events.append(f"{sign} {event.pts_s:5.1f} s  {what}")

    def decision(self, decision: DecisionMessage) -> None:
        label = in_advance(decision) + decision.label.replace("_", " ")
        self.scene.events.append(f"✔ {decision.pts_s:5.1f} s  {label} decided, ≤ {decision.error_rate:.0%} wrong")

    def prediction(self, prediction: Prediction, latency_s: float | None) -> None:
        self.scene.latency_s = latency_s
        if prediction.track == self.track:  # not a late one of the action before
            self.scene.probabilities, self.scene.ahead = prediction.probabilities, in_advance(prediction)
            shares = dict(zip(self.scene.labels, prediction.probabilities, strict=True))
            self.scene.history.append(shares.get(self.scene.doing, 0.0))

    def enter(self, action: str, track: int) -> None:
        """A new person comes in, about whom nothing is known."""
        self.scene.doing, self.track = action, track
        self.scene.probabilities = ()
        self.scene.history.clear()


def show(stream: Stream, feed: Feed, action: str, seconds: float | None, console: Console, plain: bool) -> None:
    """Play `action` ("cycle": all in turn) for `seconds` (None: until interrupted). Draws on a terminal, else lines."""
    scene = feed.scene
    scene.bundle, scene.labels, scene.image = f"{stream.ready.bundle} {stream.ready.version}", stream.labels, IMAGE
    if plain or not console.is_terminal:
        _run(stream, feed, action, seconds, PLAIN_EVERY_S, lambda: print_lines(console, scene))
        return
    with Live(drawn(scene, console), console=console, auto_refresh=False) as live:
        _run(stream, feed, action, seconds, DRAW_EVERY_S, lambda: live.update(drawn(scene, console), refresh=True))


def drawn(scene: screen.Scene, console: Console) -> RenderableType:
    """The scene as large as the terminal is at this moment."""
    return screen.view(scene, screen.Layout.of(console.width, console.height))


def _run(
    stream: Stream, feed: Feed, action: str, seconds: float | None, every_s: float, draw: Callable[[], None]
) -> None:
    began = time.monotonic()
    drawn_s, turn_ends_s, turn_began_s, track = 0.0, 0.0, 0.0, 0
    program = turns(action)
    scene = feed.scene
    while seconds is None or scene.elapsed_s < seconds:
        frame = scene.frames
        now_s = max(time.monotonic() - began, frame / RATE_HZ)  # like a camera: the pose of the moment
        if now_s >= turn_ends_s:
            track += 1
            doing, lasts_s = next(program)
            feed.enter(doing, track)
            turn_began_s, turn_ends_s = now_s, now_s + lasts_s
        scene.keypoints = pose(scene.doing, now_s - turn_began_s, height=HEIGHT, centre=CENTRE)
        stream.send({track: scene.keypoints}, pts_s=now_s)
        scene.frames = frame + 1
        while (left_s := began + scene.frames / RATE_HZ - time.monotonic()) > 0:
            for prediction in stream.received(left_s):
                feed.prediction(prediction, stream.latency_s)
        scene.elapsed_s = time.monotonic() - began
        if scene.elapsed_s - drawn_s >= every_s and scene.probabilities:
            drawn_s = scene.elapsed_s
            draw()


def print_lines(console: Console, scene: screen.Scene) -> None:
    """What was told since the last line, and a line about now."""
    for line in (*scene.events[scene.printed :], screen.line(scene)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    scene.printed = len(scene.events)
