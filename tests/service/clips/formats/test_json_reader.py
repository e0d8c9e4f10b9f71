from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.clips.formats import json_reader
from inkling.service.clips.formats.json_reader import JsonReader
from inkling.service.protocol.errors import BadClip

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(VALUES, max_size=20), st.sampled_from([None, 2]), st.booleans(), st.integers(260, 400))
def test_a_list_is_read_as_by_a_parser_that_takes_it_whole(
    values: list[Any], indent: int | None, ascii: bool, window: int
) -> None:
    body = json.dumps(values, indent=indent, ensure_ascii=ascii).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_reader, "WINDOW", window)
        patch.setattr(json_reader, "ENTRY", window // 4)
        reader = JsonReader(body)
        try:
            assert list(reader.items()) == values
        except BadClip:  # an entry that is longer than may be
            assert any(len(json.dumps(value, indent=indent, ensure_ascii=ascii)) >= 60 for value in values)
        else:
            reader.end()


@given(st.binary(max_size=60), st.sampled_from([b"", b"[", b'{"a":', b"[1,"]))
def test_any_bytes_are_values_or_a_typed_error(tail: bytes, head: bytes) -> None:
    with contextlib.suppress(BadClip):
        for _ in JsonReader(head + tail).documents():
            pass


@pytest.mark.parametrize("text", ["[1,", "[1 2]", "[1]]", "[NaN]", "[" * 100_000, "[1" + "0" * 100_000 + "]"])
def test_what_is_no_json_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(BadClip, match=r"not JSON: .*\(at byte \d+ of \d+\)"):
        list(JsonReader(text.encode()).documents())
