"""What decoding an image will cost, estimated before it begins. Pure.

Measured on images of 4096 x 4096 pixels, flat ones and ones full of detail, on one core of an AMD EPYC that had other
work too: nanoseconds of the processor and bytes at the peak, for each pixel. A busy machine takes longer;
what a stream is charged is what its images did take, so an estimate only has to tell light from heavy.

    baseline JPEG                        0.4 to 3.4 ns    3 B
    progressive JPEG, 10 scans           6 to 28 ns       6 to 9 B
    PNG of 8 bits                        18 to 40 ns      6 to 15 B
    PNG of 16 bits                       more than 40 ns  18 to 24 B
    WebP, lossy and without loss         4 to 20 ns       6 to 7 B
"""

from __future__ import annotations

from dataclasses import dataclass

from inkling.service.protocol.image_facts import ImageFile


@dataclass(frozen=True, slots=True)
class DecodeCost:
    """seconds: of one core. bytes: at the peak, beside the file itself."""

    seconds: float
    bytes: int


FREE = DecodeCost(0.0, 0)
"""Of pixels that are there already."""

_NS_BASELINE = 3.0
_NS_SCAN, _SCANS_BESIDE = 2.0, 4
"""Of a progressive JPEG's pixels, for each scan, and as much as so many more to put them together."""
_NS_PNG = 10.0
"""For each byte of a pixel."""
_NS_WEBP = {"lossy webp": 12.0, "lossless webp": 20.0}
_OUT = 3
"""Bytes of a pixel as it comes out."""


def decode_cost(file: ImageFile) -> DecodeCost:
    """What decoding `file` at its full size costs; a baseline JPEG that is reduced meanwhile costs less."""
    if file.coding == "jpeg":
        nanoseconds, size = _NS_BASELINE, file.sample_bytes + _OUT
    elif file.coding == "progressive jpeg":
        # Each coefficient takes two bytes until the last scan is read.
        nanoseconds, size = _NS_SCAN * (file.scans + _SCANS_BESIDE), 2 * file.sample_bytes + _OUT
    elif file.coding == "png":
        # Inflated, stored again, and read by OpenCV in rows and as a picture.
        nanoseconds, size = _NS_PNG * file.sample_bytes, 2 * file.sample_bytes + 2 * _OUT
    else:
        nanoseconds, size = _NS_WEBP[file.coding], 2 * _OUT
    return DecodeCost(nanoseconds * 1e-9 * file.pixels, size * file.pixels)
