from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.training.data.new_dataset import NewClip, write
from inkling.training.data.pose_dataset import read
from inkling.training.data.spans import Span, read_spans, step_targets
from inkling.training.errors import DataError, Problem
from inkling.training.labels import UNLABELLED, anything_but
from tests.training.support import STICK, stick_clip, write_rows

HEADER = "path,label,start_s,end_s\n"


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """A data set of a recording of five seconds with two spans, and of a clip with a label."""
    spans = (Span("nod", 1.0, 2.0), Span("!raise", 2.5))
    clips = [
        NewClip("long", stick_clip("nod", 100, 0), "", "train", spans=spans),
        NewClip("short", stick_clip("raise", 20, 1), "raise", "train"),
    ]
    write(tmp_path, STICK, clips)
    return tmp_path


def problems(directory: Path) -> list[Problem]:
    with pytest.raises(DataError) as caught:
        read(directory)
    return list(caught.value.problems)


def test_spans_that_were_written_are_read(long: Path) -> None:
    first, second = read(long).clips
    assert first.label is None
    assert first.spans == (Span("nod", 1.0, 2.0, 2), Span("!raise", 2.5, np.inf, 3))
    assert first.names == {"nod", "raise"}
    assert (second.spans, second.names) == ((), {"raise"})


def test_a_data_set_without_spans_has_no_table_of_them(tmp_path: Path) -> None:
    write(tmp_path, STICK, [NewClip("a", stick_clip("nod", 20, 0), "nod", "train")])
    assert not (tmp_path / "spans.csv").exists()
    assert read_spans(tmp_path) == ({}, [])


def test_a_table_written_by_hand_may_be_in_any_order_and_leave_times_out(long: Path) -> None:
    (long / "spans.csv").write_text(
        "end_s,start_s,label,path\n,3.5,nod,poses/long.npz\n1,, !nod ,poses/long.npz\n", encoding="utf-8-sig"
    )
    assert read(long).clips[0].spans == (Span("!nod", -np.inf, 1.0, 3), Span("nod", 3.5, np.inf, 2))


def test_a_clip_cut_out_of_a_recording_has_the_spans_that_lie_in_it(long: Path) -> None:
    rows = [
        {"path": "poses/long.npz", "label": "", "split": "train", "start_s": "", "end_s": "1.5", "group": ""},
        {"path": "poses/long.npz", "label": "", "split": "test", "start_s": "1.5", "end_s": "", "group": ""},
    ]
    write_rows(long, rows)
    first, second = read(long).clips
    assert [span.label for span in first.spans] == ["nod"]
    assert [span.label for span in second.spans] == ["nod", "!raise"], "a test clip with spans needs no label"


@pytest.mark.parametrize(
    ("rows", "line", "reason"),
    [
        ("path,label\n", 1, "the header is path,label,start_s,end_s"),
        (f"{HEADER}poses/long.npz,nod,1\n", 2, "has not as many fields as the header"),
        (f"{HEADER}poses/long.npz,,1,2\n", 2, "a span needs a label"),
        (f"{HEADER}poses/long.npz,!,1,2\n", 2, "a span needs a label"),
        (f"{HEADER}poses/long.npz,nod,2,1\n", 2, "start_s '2' and end_s '1' are no span"),
        (f"{HEADER}poses/long.npz,nod,nan,1\n", 2, "start_s 'nan' and end_s '1' are no span"),
        (f"{HEADER}poses/long.npz,nod,1,2\nposes/long.npz,!raise,1.5,3\n", 3, "overlaps the span of line 2"),
        (f"{HEADER}poses/long.npz,nod,9,12\n", 2, "poses/long.npz: no clip has a frame in this span"),
        (f"{HEADER}poses/lung.npz,nod,1,2\n", 2, "poses/lung.npz: not in clips.csv"),
    ],
)
def test_a_bad_span_is_named_by_file_and_line(long: Path, rows: str, line: int, reason: str) -> None:
    (long / "spans.csv").write_text(rows, encoding="utf-8")
    (problem,) = problems(long)
    assert (problem.file, problem.row) == (long / "spans.csv", line)
    assert reason in problem.reason


def test_all_that_is_wrong_is_named_at_once(long: Path) -> None:
    (long / "spans.csv").write_text(f"{HEADER}poses/short.npz,nod,0,1\nposes/long.npz,,,\n,nod,b,\n", encoding="utf-8")
    assert [(problem.file.name, problem.row) for problem in problems(long)] == [
        *(("spans.csv", 3), ("spans.csv", 4), ("clips.csv", 3))
    ]
    assert "poses/short.npz has labels in spans.csv; the label here stays empty" in problems(long)[2].reason


@given(
    st.lists(st.floats(0, 10), min_size=1, max_size=30),
    st.lists(st.floats(0, 10), min_size=2, max_size=8, unique=True),
)
def test_every_step_has_the_label_of_the_span_that_it_lies_in(times: list[float], edges: list[float]) -> None:
    cuts = sorted(edges)
    spans = [Span("!a" if i % 2 else "b", cuts[i], cuts[i + 1]) for i in range(len(cuts) - 1)]
    for time, target in zip(times, step_targets(spans, np.array(times), {"a": 0, "b": 1}).tolist(), strict=True):
        inside = [span for span in spans if span.start_s <= time < span.end_s]
        assert target == ({"!a": anything_but(0), "b": 1}[inside[0].label] if inside else UNLABELLED)


def test_no_text_breaks_the_reader(tmp_path: Path) -> None:
    @given(st.text())
    def check(text: str) -> None:
        (tmp_path / "spans.csv").write_text(HEADER + text, encoding="utf-8", errors="surrogatepass", newline="")
        spans, wrong = read_spans(tmp_path)
        assert all(span.start_s < span.end_s for found in spans.values() for span in found)
        assert all(problem.file.name == "spans.csv" for problem in wrong)

    check()
