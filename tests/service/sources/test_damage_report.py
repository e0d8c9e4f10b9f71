from __future__ import annotations

from collections import Counter

from inkling.models.clean_decoding import Damage
from inkling.service.sources.damage_report import SAY_EVERY_S, DamageReport


def test_damage_is_told_at_once_then_now_and_then_and_at_the_end() -> None:
    report, left_out = DamageReport(joined=False), Counter[Damage]()
    assert report.news(left_out, 5.0) == {}
    left_out[Damage.LOST] += 1
    assert report.news(left_out, 5.1) == {Damage.LOST: 1}
    left_out[Damage.DEPENDENT] += 3
    assert report.news(left_out, 5.2) == {}
    left_out[Damage.LOST] += 1
    assert report.news(left_out, 5.1 + SAY_EVERY_S) == {Damage.LOST: 1, Damage.DEPENDENT: 3}
    assert report.news(left_out, 9.0) == {}
    left_out[Damage.BROKEN] += 2
    assert report.news(left_out, 9.1) == {Damage.BROKEN: 2}
    left_out[Damage.BROKEN] += 2
    assert report.news(left_out, 9.2, last=True) == {Damage.BROKEN: 2}


def test_what_a_stream_refers_to_before_it_was_joined_is_no_damage() -> None:
    report, left_out = DamageReport(joined=True), Counter({Damage.DEPENDENT: 20, Damage.BROKEN: 4})
    assert report.news(left_out, 1.0) == {}
    left_out[Damage.LOST] += 1
    assert report.news(left_out, 1.1) == {Damage.LOST: 1}
    report.begin()
    left_out[Damage.DEPENDENT] += 1
    assert report.news(left_out, 9.0) == {Damage.DEPENDENT: 1}
