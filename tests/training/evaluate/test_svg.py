from __future__ import annotations

import xml.etree.ElementTree as ET

from inkling.training.evaluate.svg import Line, line_chart, sparkline

NAMESPACE = "{http://www.w3.org/2000/svg}"


def test_a_chart_is_well_formed_and_has_a_curve_and_a_name_for_each_line() -> None:
    lines = [Line("one & <two>", [(0.1, 0.0), (1.0, 1.0)]), Line("other", [(0.1, 0.5), (1.0, 0.5)], 1, 1)]
    chart = ET.fromstring(line_chart(lines, "x", "y"))  # noqa: S314  # made here
    curves = chart.findall(f"{NAMESPACE}polyline")
    assert len(curves) == 2
    assert "one & <two>" in {text.text for text in chart.iter(f"{NAMESPACE}text")}
    (start, end) = (tuple(map(float, point.split(","))) for point in str(curves[0].get("points")).split())
    assert start[0] < end[0]
    assert start[1] > end[1], "higher values lie higher"


def test_everything_lies_within_the_picture() -> None:
    chart = ET.fromstring(line_chart([Line(f"{i}", [(0, 0), (1, 1)]) for i in range(7)], "x", "y"))  # noqa: S314
    height = float(chart.get("height", 0))
    assert all(0 < float(text.get("y", 0)) <= height for text in chart.iter(f"{NAMESPACE}text"))


def test_a_sparkline_may_have_a_single_value() -> None:
    assert ET.fromstring(sparkline([0.5], 'a "name"')).get("aria-label") == 'a "name"'  # noqa: S314
