"""Video files of many kinds: right pictures at right times, or a sentence."""

from __future__ import annotations

import threading
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inkling.models.errors import VideoError
from inkling.models.video import Times, VideoReader, to_rgb
from tests.films import make_film, pictures

# What is made, how it is encoded, and how far (grey levels, on average) its pictures may be from those put in: most
# codecs halve the colours of these small and gaudy pictures. One case more: mpeg's own clock.
KINDS: list[tuple[str, str, str, float, dict[str, Any]]] = [
    ("ffv1.mkv", "ffv1", "bgr0", 0, {}),
    ("png.mov", "png", "rgb24", 0, {}),
    ("raw.nut", "rawvideo", "rgba", 0, {}),
    ("rgb.avi", "rawvideo", "bgr24", 0, {}),
    ("h264.mp4", "libx264", "yuv420p", 12, {}),
    ("h264-444-sound.mkv", "libx264", "yuv444p", 8, {"audio": True}),
    ("h264-sound.mp4", "libx264", "yuv420p", 12, {"audio": True}),
    ("h265-10bit.mp4", "libx265", "yuv420p10le", 12, {"options": {"x265-params": "log-level=none"}}),
    ("vp8.webm", "libvpx", "yuv420p", 12, {}),
    ("vp9.webm", "libvpx-vp9", "yuv420p", 12, {}),
    ("prores.mov", "prores_ks", "yuv422p10le", 8, {}),
    ("mjpeg.avi", "mjpeg", "yuvj420p", 15, {}),
    ("mpeg2.ts", "mpeg2video", "yuv420p", 15, {"base": Fraction(1, 25)}),
    ("mpeg1.mpg", "mpeg1video", "yuv420p", 15, {"base": Fraction(1, 25)}),
    ("mpeg4.avi", "mpeg4", "yuv420p", 15, {"base": Fraction(1, 25)}),
    ("flash.flv", "flv1", "yuv420p", 20, {}),
    ("windows.wmv", "wmv2", "yuv420p", 20, {}),
    ("picture.gif", "gif", "rgb8", 25, {}),
]


def read(path: Path, **limits: Any) -> tuple[list[float], list[NDArray[np.uint8]], list[str]]:
    with VideoReader(path, threads=1, **limits) as video:
        frames = [(pts_s, to_rgb(frame)) for pts_s, frame in video]
        return [pts_s for pts_s, _ in frames], [image for _, image in frames], video.warnings


def away(images: list[NDArray[np.uint8]], others: list[NDArray[np.uint8]]) -> float:
    """Mean difference in grey levels."""
    return float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(images, others, strict=True)]))


@pytest.mark.parametrize(("name", "codec", "pixels", "bound", "how"), KINDS, ids=[kind[0] for kind in KINDS])
def test_every_kind_of_file_gives_its_pictures_in_time(
    tmp_path: Path, name: str, codec: str, pixels: str, bound: float, how: dict[str, Any]
) -> None:
    images = pictures(10)
    rate = 25.0 if "base" in how else 15.0
    times, seen, warnings = read(make_film(tmp_path / name, images, rate, codec, pixels, **how))
    np.testing.assert_allclose(times, np.arange(10) / rate, atol=0.011)  # .gif counts hundredths
    assert away(images, seen) <= bound
    assert warnings == []


def test_frames_come_in_the_order_in_which_they_are_shown(tmp_path: Path) -> None:
    images = pictures(20)
    options = {"bf": "3", "b_strategy": "0", "g": "12", "crf": "5"}
    path = make_film(tmp_path / "b.mp4", images, 15.0, "libx264", "yuv444p", options=options)
    with av.open(str(path)) as file:
        decoding = [packet.pts for packet in file.demux(video=0) if packet.pts is not None]
    assert decoding != sorted(decoding), "the file has no B-frames to test with"
    times, seen, _ = read(path)
    np.testing.assert_allclose(times, np.arange(20) / 15, atol=1e-3)
    assert away(images, seen) < 6


def test_a_variable_frame_rate_keeps_its_times(tmp_path: Path) -> None:
    given_s = [0.0, 0.04, 0.2, 0.21, 0.5, 1.5, 1.52]
    times, _, warnings = read(make_film(tmp_path / "v.mkv", pictures(7), given_s))
    np.testing.assert_allclose(times, given_s, atol=1e-3)
    assert warnings == []


def test_times_begin_at_zero_whatever_the_file_says(tmp_path: Path) -> None:
    times, _, _ = read(make_film(tmp_path / "late.mkv", pictures(4), [7.0, 7.1, 7.2, 7.3]))
    np.testing.assert_allclose(times, [0, 0.1, 0.2, 0.3], atol=1e-3)


def test_a_stream_without_times_or_frame_count_runs_at_its_frame_rate(tmp_path: Path) -> None:
    times, seen, warnings = read(make_film(tmp_path / "bare.h264", pictures(6), 25.0, "libx264", "yuv420p"))
    assert len(seen) == 6
    assert np.diff(times).max() == pytest.approx(np.diff(times).min())
    assert times == pytest.approx([i / 25 for i in range(6)])
    assert warnings == ["the file has no times: 25 frames a second are assumed; `fps` says otherwise"]


@pytest.mark.parametrize("name", ["bare.h264", "bare.hevc", "bare.mjpeg"])
def test_a_raw_stream_plays_at_the_rate_that_is_asked_for(tmp_path: Path, name: str) -> None:
    codec, pixels = {"h264": ("libx264", "yuv420p"), "hevc": ("libx265", "yuv420p"), "mjpeg": ("mjpeg", "yuvj420p")}[
        name.split(".")[1]
    ]
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    film = make_film(tmp_path / name, pictures(8), 30.0, codec, pixels, base=Fraction(1, 30), options=options)
    times, _, warnings = read(film, fps=30.0)
    assert times == pytest.approx([i / 30 for i in range(8)])
    assert warnings == []
    times, _, warnings = read(film)
    assert len(times) == 8
    assert times[1] == pytest.approx(1 / 25 if codec == "mjpeg" else 1 / 30)
    assert "frames a second are assumed" in warnings[0]


@pytest.mark.parametrize("first_s", [-0.5, 0.0, 2.0])
def test_times_are_those_of_a_player_which_begins_with_the_sound(tmp_path: Path, first_s: float) -> None:
    """Without sound from 0; a picture that comes 2 s after the sound is shown 2 s after it."""
    given_s = [first_s + i / 10 for i in range(5)]
    times, _, _ = read(make_film(tmp_path / "silent.mkv", pictures(5), given_s))
    assert times == pytest.approx([i / 10 for i in range(5)], abs=2e-3)
    if first_s > 0:
        times, _, _ = read(make_film(tmp_path / "sound.mkv", pictures(5), given_s, audio=True))
        assert times == pytest.approx(given_s, abs=0.07)  # the sound begins a frame of its own before 0


@pytest.mark.parametrize(("aspect", "shape"), [(Fraction(4, 3), (48, 85)), (Fraction(1, 2), (96, 64))])
def test_pixels_are_made_square(tmp_path: Path, aspect: Fraction, shape: tuple[int, int]) -> None:
    tagged = {"aspect": f"{aspect.numerator}/{aspect.denominator}"}
    path = make_film(tmp_path / "wide.mp4", pictures(3), 15.0, "libx264", "yuv420p", options=tagged)
    assert read(path)[1][0].shape == (*shape, 3)
    assert read(path, aspect=Fraction(1))[1][0].shape == (48, 64, 3)
    assert read(make_film(tmp_path / "untold.mkv", pictures(3)), aspect=aspect)[1][0].shape == (*shape, 3)


def test_a_file_that_is_cut_off_gives_what_is_there(tmp_path: Path) -> None:
    path = make_film(tmp_path / "whole.mkv", pictures(30, 96, 128))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    times, seen, _ = read(cut)
    assert 5 < len(seen) < 30
    np.testing.assert_allclose(times, np.arange(len(times)) / 15, atol=1e-3)


def test_damage_in_the_middle_is_a_warning(tmp_path: Path) -> None:
    path = make_film(tmp_path / "x.avi", pictures(30, 96, 128), 15.0, "png", "rgb24")
    data = bytearray(path.read_bytes())
    middle = data.find(b"IDAT", len(data) // 2)
    data[middle : middle + 200] = bytes(200)
    path.write_bytes(data)
    times, _, warnings = read(path)
    assert len(times) >= 28
    assert warnings
    assert "could not be decoded" in warnings[0]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty", b""),
        ("text", b"hello, world. " * 500),
        ("noise", np.random.default_rng(0).bytes(50_000)),
        ("playlist.m3u8", b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"),
        ("script.ffconcat", b"ffconcat version 1.0\nfile '/etc/hostname'\n"),
        ("session.sdp", b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"),
        ("head.mp4", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2\0\0\0\x08free\0\0\x10\0mdat"),
    ],
)
def test_what_is_no_video_is_refused_with_a_sentence(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(VideoError) as refusal:
        read(path)
    assert str(tmp_path) not in str(refusal.value)


@pytest.mark.parametrize(
    ("suffix", "name"), [(".jpg", "JPEG"), (".png", "PNG"), (".webp", "WebP"), (".bmp", "BMP"), (".tiff", "TIFF")]
)
def test_a_single_picture_is_refused_by_name(tmp_path: Path, suffix: str, name: str) -> None:
    path = tmp_path / f"one{suffix}"
    cv2.imwrite(str(path), pictures(1)[0])
    with pytest.raises(VideoError, match=f"single picture \\({name}\\)"):
        read(path)


@pytest.mark.parametrize(("head", "name"), [(b"ID3\4", "MP3"), (b"RIFF\1\1\1\1WAVEfmt ", "WAV"), (b"%PDF-1.7", "PDF")])
def test_sound_and_documents_are_refused_by_name(tmp_path: Path, head: bytes, name: str) -> None:
    (tmp_path / "x").write_bytes(head + bytes(3000))
    with pytest.raises(VideoError, match=name):
        read(tmp_path / "x")


def test_a_playlist_is_not_followed_even_to_a_good_file(tmp_path: Path) -> None:
    film = make_film(tmp_path / "good.ts", pictures(5), 25.0, "mpeg2video", "yuv420p", base=Fraction(1, 25))
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{film}\n#EXT-X-ENDLIST\n")
    with av.open(str(playlist)) as file:
        assert next(file.decode(video=0)), "libav itself would follow it"
    with pytest.raises(VideoError):
        read(playlist)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "sound.mka"
    with av.open(str(path), "w", format="matroska") as file:
        stream: Any = file.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode())
    with pytest.raises(VideoError, match="no video"):
        read(path)


def test_frames_over_the_limit_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = make_film(tmp_path / "large.mkv", pictures(2, 200, 300))
    with pytest.raises(VideoError, match="300 x 200 pixels"):
        read(path, max_pixels=200 * 300 - 1)
    assert len(read(path, max_pixels=200 * 300)[0]) == 2


def test_frames_may_be_converted_on_other_threads(tmp_path: Path) -> None:
    images = pictures(24)
    path = make_film(tmp_path / "many.mkv", images)
    with VideoReader(path) as video:
        frames = [frame for _, frame in video]
    seen: dict[int, NDArray[np.uint8]] = {}

    def convert(first: int) -> None:
        for i in range(first, len(frames), 3):
            seen[i] = to_rgb(frames[i])

    threads = [threading.Thread(target=convert, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert away(images, [seen[i] for i in range(24)]) == 0


SECONDS = st.none() | st.floats(-1e5, 1e5)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=40), st.floats(0.001, 1))
def test_times_begin_at_zero_and_rise_whatever_comes(
    stamps: list[tuple[float | None, float | None]], step: float
) -> None:
    times = Times(step)
    placed = [times.place(pts_s, dts_s) for pts_s, dts_s in stamps]
    assert placed[0] == 0
    assert all(later > earlier for earlier, later in pairwise(placed))


def test_good_times_are_kept() -> None:
    times = Times(0.1)
    assert [times.place(t, None) for t in (3.0, 3.1, 3.5, 9.0)] == pytest.approx([0, 0.1, 0.5, 6.0])
    assert times.warnings() == []


def test_a_clock_that_is_set_back_goes_on() -> None:
    times = Times(0.1)
    assert [times.place(t, None) for t in (50.0, 50.1, 0.0, 0.1)] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert times.warnings() == ["the clock is set back 1 times; the time goes on from there"]


def test_decoding_times_are_taken_where_the_others_are_out_of_order() -> None:
    times = Times(0.04)
    pts = (1, 2, 4, 3, 5, 7, 6, 8)
    placed = [times.place(p * 0.04, d * 0.04) for d, p in enumerate(pts, 1)]
    assert placed[4:] == pytest.approx([0.16, 0.20, 0.24, 0.28])


# -- public files -------------------------------------------------------------------------------------------------
SAMPLES = {  # undamaged frames, when the last is shown, (height, width) with square pixels
    "decord/examples/flipping_a_pancake.mkv": (310, 10.3, (240, 426)),
    "decord/tests/test_data/corrupted.mp4": (28, 2.7, (720, 1280)),
    "decord/tests/test_data/unordered.mov": (4, 0.094, (50, 50)),
    "decord/tests/test_data/video_0.mov": (3, 0.067, (320, 568)),
    "decord/tests/test_data/video_90.mov": (3, 0.067, (568, 320)),
    "decord/tests/test_data/video_180.mov": (3, 0.067, (320, 568)),
    "decord/tests/test_data/video_270.mov": (3, 0.067, (568, 320)),
    "intel_sample_videos/asl_gestures/walk.mkv": (89, 2.933, (480, 640)),
    "intel_sample_videos/asl_gestures/yes.mkv": (65, 2.134, (480, 640)),
    "intel_sample_videos/one-by-one-person-detection.mp4": (1394, 139.3, (432, 768)),
    "mmaction2/demo/demo.mp4": (280, 9.964, (256, 427)),
    "mmaction2/tests/data/test.avi": (164, 6.56, (240, 320)),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", list(SAMPLES))
def test_public_files_give_the_right_frames(shared_data: Path, name: str) -> None:
    count, length_s, shape = SAMPLES[name]
    first: NDArray[np.uint8] | None = None
    with VideoReader(shared_data / "video_samples" / name, threads=1) as video:
        times = []
        for pts_s, frame in video:
            times.append(pts_s)
            if first is None:
                first = to_rgb(frame)
    assert len(times) == count
    assert times[-1] == pytest.approx(length_s, abs=2e-3)
    assert first is not None
    assert first.shape == (*shape, 3)
    assert bool(video.warnings) is (name.endswith(("corrupted.mp4", "test.avi")))


@pytest.mark.shared_data
def test_a_turned_film_is_turned_back(shared_data: Path) -> None:
    """Four films of a keyboard in ordinary light: whichever way the camera was held, the table is at the bottom."""
    for angle, shape in ((90, (568, 320, 3)), (270, (568, 320, 3))):
        path = shared_data / f"video_samples/decord/tests/test_data/video_{angle}.mov"
        with VideoReader(path) as video:
            _, frame = next(iter(video))
            image = to_rgb(frame)
        stored = np.asarray(frame.to_ndarray(format="rgb24"))
        assert image.shape == shape
        turns = 3 if angle == 90 else 1  # clockwise; counter-clockwise
        np.testing.assert_array_equal(image, np.rot90(stored, turns))
