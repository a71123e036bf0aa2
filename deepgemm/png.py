"""Small PNG pictures of one colour in 16 degrees of opacity, for HTML that carries its pictures along."""

from __future__ import annotations

import zlib
from binascii import b2a_base64, crc32

import numpy as np
import numpy.typing as npt

__all__ = ["data_uri"]

_SHADES = 16  # four bits each


def data_uri(shares: npt.NDArray[np.float64], colour: str) -> str:
    """Return a picture of numbers from 0 to 1 as a data URI: nothing shows through a 1.

    Parameters
    ----------
    shares : numpy.ndarray, shape (height, width)
        One for each pixel. Whatever is above 0 stays visible.
    colour : str
        Like "#4a86cf".
    """
    height, width = shares.shape
    levels = np.zeros((height, width + width % 2), np.uint8)
    levels[:, :width] = np.ceil(np.clip(shares, 0, 1) * (_SHADES - 1))
    # Two pixels to a byte; each line begins with a byte that says that it is not filtered.
    lines = np.zeros((height, 1 + levels.shape[1] // 2), np.uint8)
    lines[:, 1:] = levels[:, ::2] << 4 | levels[:, 1::2]
    depth, palette = 4, 3
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([depth, palette, 0, 0, 0])
    opacity = bytes(255 * level // (_SHADES - 1) for level in range(_SHADES))
    image = b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", bytes.fromhex(colour[1:]) * _SHADES),
            _chunk(b"tRNS", opacity),
            _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)),
            _chunk(b"IEND", b""),
        )
    )
    return "data:image/png;base64," + b2a_base64(image, newline=False).decode()


def _chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + crc32(name + data).to_bytes(4, "big")
