"""HTML and SVG for notebooks: cards of facts with a picture, self-contained, for light and dark pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from .png import data_uri

__all__ = ["bars", "card", "escape", "facts", "profile", "raster"]

# Text and lines take the colour of the page around them; this one stands out on white as on near-black.
ACCENT = "#4a86cf"
QUIET = "currentColor"
SIDE = 160  # pixels of the longer side of a picture


def escape(text: str) -> str:
    """Return text as it may stand in HTML and in attributes.

    Examples
    --------
    >>> escape("a < b & 'c'")
    'a &lt; b &amp; &#39;c&#39;'
    """
    # The characters that matter; importing the html module costs 3 ms.
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ('"', "&quot;")):
        text = text.replace(character, entity)
    return text


def card(title: str, rows: Iterable[tuple[str, str]], picture: str = "", below: str = "") -> str:
    """Return a title over a table of names and values, a picture beside it and HTML below it."""
    return (
        f"<div><b>{escape(title)}</b>"
        f"<div style='display:flex;flex-wrap:wrap;gap:8px 24px;align-items:flex-start'>{facts(rows)}"
        f"{picture}</div>{below}</div>"
    )


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Return names and values as a table of two columns."""
    lines = "".join(
        f"<tr><td style='text-align:left;padding:1px 8px;opacity:.7;white-space:nowrap'>{escape(name)}</td>"
        f"<td style='text-align:left;padding:1px 8px'>{escape(value)}</td></tr>"
        for name, value in rows
    )
    return f"<table style='margin:0'>{lines}</table>" if lines else ""


def raster(shares: npt.NDArray[np.float64], size: tuple[int, int], alt: str, caption: str) -> str:
    """Return a picture of numbers from 0 to 1 as a figure: the larger, the stronger the colour.

    Parameters
    ----------
    shares : numpy.ndarray, shape (height, width)
        Whatever is above 0 stays visible.
    size : tuple of int
        Width and height on the page, in pixels.
    alt, caption : str
        What the picture shows, for those who do not see it, and what stands below it.
    """
    return _figure(
        f"<img src='{data_uri(shares, ACCENT)}' alt='{escape(alt)}' title='{escape(alt)}' "
        f"style='width:{size[0]}px;height:{size[1]}px;max-width:none;margin:0;image-rendering:pixelated;"
        "border:1px solid rgba(128,128,128,.6)'>",
        caption,
    )


def profile(heights: Sequence[float], alt: str, caption: str, top: float | None = None) -> str:
    """Return steps from left to right as a filled area; what is above them is shaded lightly.

    Parameters
    ----------
    heights : sequence of float
        Of steps of one width.
    alt, caption : str
        What the picture shows, for those who do not see it, and what stands below it.
    top : float, optional
        The height of the whole picture; by default that of the highest step.
    """
    width, height = SIDE, SIDE // 2
    scale = height / (top or max(heights, default=0) or 1)
    step = width / len(heights)
    path = "".join(
        f"V{height - value * scale:.1f}H{(number + 1) * step:.1f}" for number, value in enumerate(heights)
    )
    return _svg(
        width,
        height,
        f"<rect width='{width}' height='{height}' fill='{QUIET}' opacity='.12'/>"
        f"<path d='M0 {height}{path}V{height}Z' fill='{ACCENT}'/>",
        alt,
        caption,
    )


def bars(heights: Sequence[float], titles: Sequence[str], alt: str, caption: str) -> str:
    """Return bars of one width from left to right, each with a title of its own."""
    width, height = SIDE, SIDE // 2
    scale, step = height / (max(heights, default=0) or 1), width / max(len(heights), 1)
    shapes = "".join(
        f"<rect x='{number * step:.1f}' y='{height - value * scale:.1f}' width='{step * 0.85:.1f}' "
        f"height='{value * scale:.1f}' fill='{ACCENT}'><title>{escape(title)}</title></rect>"
        for number, (value, title) in enumerate(zip(heights, titles, strict=True))
    )
    baseline = f"<rect y='{height}' width='{width}' height='1' fill='{QUIET}' opacity='.5'/>"
    return _svg(width, height + 1, shapes + baseline, alt, caption)


def _svg(width: int, height: int, shapes: str, alt: str, caption: str) -> str:
    return _figure(
        f"<svg role='img' aria-label='{escape(alt)}' width='{width}' height='{height}' "
        f"viewBox='0 0 {width} {height}'><title>{escape(alt)}</title>{shapes}</svg>",
        caption,
    )


def _figure(picture: str, caption: str) -> str:
    return (
        f"<figure style='margin:4px 0'>{picture}"
        "<figcaption style='font-size:85%;opacity:.75;text-align:left;font-style:normal'>"
        f"{escape(caption)}</figcaption></figure>"
    )
