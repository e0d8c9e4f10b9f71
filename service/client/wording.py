"""How answers are put into words where people read them, so that what comes is never taken for what is. Pure."""

from __future__ import annotations

from inkling.service.protocol.codec import DecisionMessage, Event, Prediction


def in_advance(said: Prediction | DecisionMessage) -> str:
    """`in 0.5 s: `, to be put before a label that is of so much later; nothing before one that is of the moment."""
    return "" if said.for_s is None else f"in {said.for_s - said.pts_s:.2g} s: "


def happening(event: Event, label: str | None = None) -> str:
    """`fall begins`, or `fall begins in 0.5 s`. label: by default as the bundle has it."""
    in_s = event.begins_in_s if event.phase == "begin" else event.ends_in_s
    later = "" if in_s is None else f" in {in_s:.2g} s"
    return f"{event.label if label is None else label} {event.phase}s{later}"
