"""A picture is decoded as OpenCV does it, or refused with what is wrong: what is damaged is never guessed."""

from __future__ import annotations

import random
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inkling.service.inputs.image_decoder import decode_grey, decode_image
from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.image_file import image_file
from tests.support import picture

REDUCED = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_COLOR_RGB,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_COLOR_RGB,
}
JPEGS: list[tuple[int, ...]] = [
    (),
    (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    (cv2.IMWRITE_JPEG_RST_INTERVAL, 3),
    (cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_JPEG_QUALITY, 30),
    (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411),
    (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440),
]


def encoded(image: NDArray[Any], kind: str, *options: int) -> bytes:
    good, data = cv2.imencode(kind, image, list(options))
    assert good
    return data.tobytes()


def decoded(data: bytes, reduce: int = 1) -> NDArray[np.uint8]:
    return decode_image(memoryview(data), image_file(data), reduce)


def by_opencv(data: bytes, reduce: int = 1) -> NDArray[Any]:
    flags = REDUCED[reduce] | cv2.IMREAD_IGNORE_ORIENTATION
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), flags))


def camera_jpegs(count: int, **options: str) -> list[bytes]:
    """As an MJPEG camera sends them, from FFmpeg's encoder."""
    codec: Any = av.CodecContext.create("mjpeg", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 320, 240, "yuvj420p", 1
    codec.options = options
    files = []
    for i in range(count):
        frame = av.VideoFrame.from_ndarray(picture(240, 320, seed=i), format="rgb24").reformat(format="yuvj420p")
        frame.pts = i
        files += [bytes(packet) for packet in codec.encode(frame)]
    return files + [bytes(packet) for packet in codec.encode(None)]


@pytest.mark.parametrize("options", JPEGS)
@pytest.mark.parametrize("shape", [(1, 1), (9, 300), (480, 640), (301, 217)])
@pytest.mark.parametrize("reduce", [1, 2, 4, 8])
def test_a_jpeg_gives_opencv_s_pixels(options: tuple[int, ...], shape: tuple[int, int], reduce: int) -> None:
    for image in (picture(*shape), picture(*shape)[..., 0]):
        data = encoded(image, ".jpg", *options)
        np.testing.assert_array_equal(decoded(data, reduce), by_opencv(data, reduce))


def test_a_camera_s_jpegs_give_opencv_s_pixels_also_without_their_huffman_tables() -> None:
    for data in camera_jpegs(3, huffman="default"):
        at = data.index(b"\xff\xc4")
        bare = data[:at] + data[at + 2 + int.from_bytes(data[at + 2 : at + 4], "big") :]
        assert b"\xff\xc4" not in bare
        np.testing.assert_array_equal(decoded(data), by_opencv(data))
        np.testing.assert_array_equal(decoded(bare), by_opencv(data))


def test_no_good_picture_is_taken_for_a_damaged_one() -> None:
    files = [
        encoded(picture(height, width, seed=seed), ".jpg", *options, cv2.IMWRITE_JPEG_QUALITY, quality)
        for options in JPEGS
        for seed, (height, width) in enumerate([(120, 160), (33, 47), (8, 8), (97, 300)])
        for quality in (5, 50, 75, 85, 90, 95, 100)
    ]
    for data in [*files, *camera_jpegs(60)]:
        decoded(data)


@pytest.mark.parametrize("options", JPEGS)
def test_a_jpeg_that_is_cut_is_refused_wherever_it_is_cut(options: tuple[int, ...]) -> None:
    """With an end behind what is left, as a camera or a proxy writes it that lost the rest."""
    whole = encoded(picture(240, 320), ".jpg", *options)
    first, chance = whole.index(b"\xff\xda") + 14, random.Random(1)
    for _ in range(100):
        cut = whole[: chance.randrange(first, len(whole) - 8)]
        with pytest.raises(BadImage):
            decoded(cut + b"\xff\xd9")
        with pytest.raises(BadImage):
            decoded(cut)


def test_a_jpeg_that_lost_a_packet_or_many_bytes_is_refused() -> None:
    """A single wrong byte often still decodes, to other pixels: a JPEG has no checksum. A hundred seldom do."""
    whole = encoded(picture(480, 640), ".jpg")
    first, chance = whole.index(b"\xff\xda") + 14, random.Random(1)
    for _ in range(50):
        at = chance.randrange(first, len(whole) - 1402)
        with pytest.raises(BadImage, match="damaged"):
            decoded(whole[:at] + whole[at + 1400 :])
        with pytest.raises(BadImage, match="damaged"):
            decoded(whole[:at] + bytes(512) + whole[at + 512 :])


def test_what_is_harmless_in_a_jpeg_is_no_damage() -> None:
    whole = encoded(picture(48, 64), ".jpg")
    wanted = by_opencv(whole)
    np.testing.assert_array_equal(decoded(whole[:-2] + b"\0\0\0" + whole[-2:]), wanted)  # padding
    np.testing.assert_array_equal(decoded(whole + b"\0" * 4096), wanted)  # a buffer of fixed size
    scan = whole.index(b"\xff\xda")
    end = scan + 2 + int.from_bytes(whole[scan + 2 : scan + 4], "big")
    odd = whole[: end - 3] + b"\0\0\0" + whole[end:]  # as some phones write it
    np.testing.assert_array_equal(decoded(odd), wanted)
    with pytest.raises(BadImage, match="damaged"):  # and it hides no damage
        decoded(odd[: len(odd) * 3 // 4] + b"\xff\xd9")


def test_a_webp_gives_opencv_s_pixels() -> None:
    for quality in (50, 101):
        data = encoded(picture(48, 64), ".webp", cv2.IMWRITE_WEBP_QUALITY, quality)
        np.testing.assert_array_equal(decoded(data), by_opencv(data))


@given(st.data())
def test_a_changed_file_is_pixels_of_its_size_or_refused(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from(FILES)))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        file = image_file(bytes(whole))
        if file.pixels < 10**6:
            assert decode_image(memoryview(whole), file).shape == (file.height, file.width, 3)
    except BadImage:
        pass


FILES = [
    *(encoded(picture(30, 40), ".jpg", *options) for options in JPEGS),
    encoded(picture(30, 40), ".png"),
    encoded(picture(30, 40), ".webp", cv2.IMWRITE_WEBP_QUALITY, 50),
    encoded(picture(30, 40), ".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
]


def test_a_jpeg_can_be_read_without_its_colours_and_is_refused_like_one_with_them() -> None:
    data = cv2.imencode(".jpg", picture(96, 160))[1].tobytes()
    grey = decode_grey(memoryview(data), image_file(data), 8)
    assert grey.shape == (12, 20, 1)
    brightness = cv2.cvtColor(decode_image(memoryview(data), image_file(data), 8), cv2.COLOR_RGB2GRAY)
    assert np.abs(grey[..., 0].astype(int) - brightness).max() <= 2
    cut = data[: len(data) // 2] + data[-2:]
    with pytest.raises(BadImage):
        decode_grey(memoryview(cut), image_file(cut), 8)
