"""What an HTTP answer is, by its first bytes: cameras and servers often give it a wrong type."""

from __future__ import annotations

import re

from inkling.models.video import known_as
from inkling.service.sources.camera_pictures import MAX_PICTURE_BYTES, ONE_PICTURE
from inkling.service.sources.failure import Failure
from inkling.service.sources.http_reader import ResponseBody
from inkling.service.sources.jpeg_end import SOI, JpegEnd
from inkling.service.sources.lifecycle import Cause

_FEW, _HEAD = 16, 4096
"""Bytes that a camera sends at once, and those of a file."""
_PART = re.compile(
    rb"(?i)[\r\n]*(?:--[^\r\n]{1,200}[\r\n]+)*"
    rb"(?:[a-z][a-z0-9-]*[ \t]*:[^\r\n]*\r?\n){0,16}"
    rb"(?:(?:content-type|content-length|x-timestamp)[ \t]*:|(?<=[\r\n])\xff\xd8\xff)"
)
"""How a multipart answer begins, with a boundary or without."""
_SEARCHED = 2**20
"""Bytes at the begin of an MP4 in which its index, or its pictures, should begin."""


def gives_pictures(body: ResponseBody) -> bool:
    """Whether it is a stream of pictures, one file after the other.

    Raises Failure for what is known to be neither that nor a video, a single picture above all.
    """
    if body.type.startswith("multipart/") or _PART.match(body.peek(_FEW)):
        return True
    jpeg = body.peek(_FEW).startswith(SOI)
    if jpeg and body.length is None:
        return True
    head = body.peek(_HEAD)
    kind = known_as(head)
    if kind is None:
        return _PART.match(head) is not None
    if (jpeg and _goes_on(body)) or b"acTL" in head:  # a recording of such pictures, a PNG that moves
        return False
    raise Failure(Cause.UNREADABLE, ONE_PICTURE if "picture" in kind else f"this is {kind}, not a video")


def _goes_on(body: ResponseBody) -> bool:
    """Whether another JPEG follows the first one."""
    search, size = JpegEnd(), 0
    while size < MAX_PICTURE_BYTES:
        data = body.peek(size + 1)
        if len(data) == size:
            return False
        size = len(data)
        end = search.find(data)
        if end is not None:
            return body.peek(end + _HEAD)[end:].lstrip(b"\0\r\n").startswith(SOI)
        if search.lost_at is not None:
            return False
    return False


def index_is_last(body: ResponseBody) -> bool:
    """Whether it is an MP4 (ISO 14496-12) whose pictures come before what says where each of them is."""
    at = 0
    while at < _SEARCHED:
        head = body.peek(at + 16)[at : at + 16]
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if len(head) < 8 or (not at and kind not in (b"ftyp", b"wide", b"mdat", b"free", b"skip")):
            return False
        if kind in (b"mdat", b"moov", b"moof"):
            return kind == b"mdat"
        size = int.from_bytes(head[8:], "big") if size == 1 else size
        if size < 8:
            return False
        at += size
    return False
