from __future__ import annotations

import html.parser
import re
from pathlib import Path

import pytest

from inkling.training.evaluate.evaluation import Evaluation, evaluate_run
from inkling.training.evaluate.page import page, warnings_of
from inkling.training.evaluate.page_tables import source_file
from inkling.training.evaluate.set_report import ClipReport
from inkling.training.run import Run

VOID = {"meta", "br"}


class Tags(html.parser.HTMLParser):
    """Refuses tags that do not close in order; collects the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def evaluation(finished: tuple[Run, Path]) -> Evaluation:
    run, data = finished
    return evaluate_run(run, data)


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    return tags


def test_the_page_needs_nothing_beside_it(evaluation: Evaluation) -> None:
    text = page(evaluation)
    tags = parsed(text)
    assert tags.addresses == []
    assert "<script" not in text
    assert "url(" not in text
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}, "a name, not an address"


def test_the_page_has_every_part(evaluation: Evaluation) -> None:
    text = "\n".join(parsed(page(evaluation)).text)
    for part in (
        "How early is it right?",
        "Which actions?",
        "Do its probabilities mean",
        "Deciding early",
        "provenance",
    ):
        assert part in text
    report = evaluation.sets["sticks"]
    assert f"{100 * report.conditions['clean'].joint.auc:.1f}" in text
    for clip in report.worst:
        assert clip.path.removesuffix(".npz") in text
    assert "Sticks that were made up." in text
    assert all(label in text for label in evaluation.labels)


def test_names_from_outside_stay_text(evaluation: Evaluation) -> None:
    evil = evaluation.model_copy(update={"model": "<script>alert(1)</script>"})
    assert "<script" not in page(evil)


def test_few_test_and_few_validation_clips_are_warned_of(evaluation: Evaluation) -> None:
    texts = warnings_of(evaluation)
    assert evaluation.sets["sticks"].clips == 12
    assert texts[0].startswith("sticks has only 12 test clips")
    assert evaluation.training is not None
    assert texts[1].startswith(f"Only {evaluation.training.validation_clips} validation clips")
    assert all(text in "".join(parsed(page(evaluation)).text) for text in texts)


def test_an_evaluation_of_an_earlier_release_has_a_page_too(evaluation: Evaluation) -> None:
    report = evaluation.sets["sticks"].model_dump(exclude={"by_label", "reliability", "worst"})
    fields = evaluation.model_dump(exclude={"training"}) | {"sets": {"sticks": report}}
    older = Evaluation.model_validate(fields)
    assert older.training is None
    parsed(page(older))


@pytest.mark.parametrize(
    ("path", "group", "file"),
    [
        ("one-0123456789abcdef01234567.npy", "mine/wave/one.mp4", "wave/one.mp4"),
        ("one-0123456789abcdef01234567.npy", "mine/person-3", "one"),
        ("poses/one.npz", "mine/g", "poses/one.npz"),
    ],
)
def test_a_clip_is_named_by_the_file_it_came_from(path: str, group: str, file: str) -> None:
    clip = ClipReport(path=path, group=group, label="a", start_s=0, seconds=1, right=0, truth=(), answers=())
    assert source_file(clip) == file
