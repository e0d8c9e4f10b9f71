from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkling.service.sources.jpeg_end import JpegEnd
from tests.service.sources.cameras import jpeg
from tests.support import picture


def progressive(height: int = 48, width: int = 64) -> bytes:
    done, data = cv2.imencode(".jpg", picture(height, width, 0), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert done
    return bytes(data.tobytes())


def with_thumbnail(data: bytes) -> bytes:
    """A JPEG with another one in a segment of its own, as cameras have it in EXIF."""
    small = jpeg(8, 8)
    return data[:2] + b"\xff\xe1" + (2 + len(small)).to_bytes(2, "big") + small + data[2:]


FILES = {
    "baseline": jpeg(48, 64),
    "progressive": progressive(),
    "with a thumbnail": with_thumbnail(jpeg(48, 64)),
    "with fill bytes": jpeg(48, 64)[:2] + b"\xff\xff" + jpeg(48, 64)[2:-2] + b"\xff\xff\xd9",
    "with restart markers": bytes(
        cv2.imencode(".jpg", picture(48, 64, 3), [cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes()
    ),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("rest", [b"", b"\r\n--frame\r\n", b"\xff\xd8\xff", b"\0\0\xff\xd9"])
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_the_end_is_found_as_soon_as_it_is_there(kind: str, rest: bytes, step: int) -> None:
    file = FILES[kind]
    end = JpegEnd()
    for count in range(step, len(file) + len(rest) + step, step):
        found = end.find((file + rest)[:count])
        assert found == (len(file) if count >= len(file) else None)
        if found:
            break
    assert end.lost_at is None


def test_a_second_picture_within_the_first_is_where_it_is_lost() -> None:
    file = FILES["baseline"]
    half = file[: len(file) * 3 // 4]
    end = JpegEnd()
    assert end.find(half + file) is None
    assert end.lost_at == len(half) - half.endswith(b"\xff")


@pytest.mark.parametrize(
    "broken", [b"\xff\xd8\xff\xe0\x00\x01", b"\xff\xd8\xff\xd8", b"\xff\xd8\xff\x20", b"\xff\xd8A"]
)
def test_what_is_no_sequence_of_segments_is_lost(broken: bytes) -> None:
    end = JpegEnd()
    assert end.find(b"\xff\xd8" + broken + bytes(10)) is None
    assert end.lost_at is not None


@settings(max_examples=200)
@given(st.binary(max_size=300), st.sampled_from([b"", FILES["baseline"][:-2]]), st.integers(1, 50))
def test_any_bytes_give_the_same_whole_or_bit_by_bit(tail: bytes, head: bytes, step: int) -> None:
    data = (head or b"\xff\xd8") + tail
    whole, split = JpegEnd(), JpegEnd()
    found = whole.find(data)
    parts = (split.find(data[:count]) for count in range(2, len(data) + step, step))
    assert next((end for end in parts if end is not None), None) == found
    assert whole.lost_at == split.lost_at
    assert found is None or np.frombuffer(data, np.uint8)[found - 1] == 0xD9
