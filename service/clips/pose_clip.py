"""Whole clips of poses from untrusted bytes, in whichever of the `formats`; told apart by their first bytes."""

from __future__ import annotations

import codecs
import re

from inkling.service.clips.formats import coco, csv_table, mediapipe, openpose, own_json
from inkling.service.clips.formats.frames import Bounds
from inkling.service.clips.formats.json_reader import Body
from inkling.service.clips.formats.numpy_files import read_npy_clip, read_npz_clip
from inkling.service.clips.pose_arrays import PoseClip, TrackedClip
from inkling.service.protocol.errors import BadClip, TooLarge

__all__ = ["WANTED", "PoseClip", "TrackedClip", "found", "is_arrays", "is_text", "parse_clip"]

HEAD = 4096
"""First bytes of a text, which tell its format."""
WANTED = (
    "send JSON (ours, COCO results, OpenPose frames or MediaPipe landmarks), .npz or .npy of numpy, or .csv; see "
    "'Poses and skeletons' in the documentation"
)
_NPY = b"\x93NUMPY"
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_KNOWN = (
    (rb"....ftyp", "an MP4 or MOV video"), (rb"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (rb"RIFF....AVI ", "an AVI video"), (rb"RIFF....WEBP", "a WebP picture"), (rb"RIFF....WAVE", "a WAV sound"),
    (rb"\xff\xd8\xff", "a JPEG picture or an MJPEG video"), (rb"\x89PNG", "a PNG picture"), (rb"GIF8", "a GIF picture"),
    (rb"\x47.{187}\x47", "an MPEG transport stream"), (rb"\x00\x00\x00?\x01", "a raw H.264 or HEVC video"),
    (rb"FLV", "an FLV video"), (rb"OggS", "an Ogg file"), (rb"\x1f\x8b", "a gzip file"), (rb"%PDF", "a PDF"),
    (rb"\x89HDF", "an HDF5 file"), (rb"PAR1", "a Parquet file"), (rb"\x80[\x02-\x05]", "a Python pickle, never read"),
    (rb"MATLAB 5.0", "a MATLAB file"), (rb"(?i)\s*<(!doctype|html|\?xml)", "an HTML or XML page"),
)  # fmt: skip


def found(head: bytes | bytearray) -> str | None:
    """What a file that is no clip of poses is, by its first bytes, if that is known."""
    return next((name for pattern, name in _KNOWN if re.match(pattern, head, re.DOTALL)), None)


def is_text(head: bytes | bytearray) -> bool:
    """Whether the first bytes of a body are of a text, or of nothing at all."""
    return bytes(head[:2]) in _UTF16 or (
        not any(byte < 32 and byte not in b"\t\r\n" for byte in head) and found(head) is None
    )


def is_arrays(head: bytes | bytearray) -> bool:
    """Whether the first bytes of a body are of a file of numpy."""
    return head.startswith((b"PK", _NPY))


def parse_clip(body: Body, *, max_bytes: int, max_frames: int) -> PoseClip | TrackedClip:
    """A clip of poses. Raises BadClip, or TooLarge when it has more frames or unpacks to more bytes than that."""
    clip: PoseClip | TrackedClip
    if body[:2] == b"PK":
        clip = read_npz_clip(body, max_bytes)
    elif body[: len(_NPY)] == _NPY:
        clip = read_npy_clip(body, max_bytes)
    else:
        clip = _read_text(body, Bounds(max_frames, max_bytes // 4))  # as float32
    if clip.frames > max_frames:
        raise TooLarge(f"the clip has {clip.frames} frames, this server takes {max_frames}")
    if not clip.frames:
        raise BadClip("the clip has no frames")
    if clip.pts_s is not None and len(clip.pts_s) != clip.frames:
        raise BadClip(f"the clip has {clip.frames} frames and {len(clip.pts_s)} times in pts_s")
    return clip


def _read_text(body: Body, bounds: Bounds) -> PoseClip:
    body = _utf8(body)
    head = body[:HEAD].lstrip()
    if bytes(head[:1]) not in (b"{", b"["):
        if csv_table.is_header(head):
            return csv_table.read(body, bounds)
        what = found(body[:HEAD])
        raise BadClip(f"{f'this is {what}' if what else 'neither JSON nor .npz nor .csv'}; {WANTED}")
    if b'"pose_keypoints_2d"' in head:
        return openpose.read(body, bounds)
    if b'"image_id"' in head:
        return coco.read(body, bounds)
    if mediapipe.is_dump(head):
        return mediapipe.read(body, bounds)
    if head[:1] == b"{":
        return own_json.read(body, bounds)
    raise BadClip(f"a JSON list of something unknown, neither JSON nor .npz of a clip; {WANTED}")


def _utf8(body: Body) -> Body:
    """The text in UTF-8, without a byte order mark. Raises BadClip."""
    if body[: len(codecs.BOM_UTF8)] == codecs.BOM_UTF8:
        return body[len(codecs.BOM_UTF8) :]
    encoding = _UTF16.get(bytes(body[:2]))
    if encoding is None:
        return body
    decoder, text = codecs.getincrementaldecoder(encoding)(), bytearray()
    try:
        for at in range(2, len(body), 65536):  # in pieces: others go on between them
            text += decoder.decode(body[at : at + 65536]).encode()
        text += decoder.decode(b"", final=True).encode()
    except UnicodeError:
        raise BadClip("the text begins as UTF-16 and goes on as something else; send UTF-8") from None
    return text
