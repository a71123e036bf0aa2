"""Tables as text for terminals and as HTML with bars for notebooks, and figures with units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Report", "Table", "count", "seconds", "size"]


def seconds(value: float | None) -> str:
    """Return a duration with a readable unit.

    Examples
    --------
    >>> seconds(0.00123), seconds(2.5e-6), seconds(None)
    ('1.23 ms', '2.5 µs', '')
    """
    if value is None:
        return ""
    if value == 0:
        return "0"
    for factor, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}" if value < 1000 else f"{value:.0f} s"
    return f"{value / 1e-9:.3g} ns"


def size(value: float | None) -> str:
    """Return a number of bytes with a readable unit.

    Examples
    --------
    >>> size(1536), size(0)
    ('1.5 KiB', '0')
    """
    if value is None:
        return ""
    if value == 0:
        return "0"
    for factor, unit in ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if value >= factor:
            return f"{value / factor:.4g} {unit}"
    return f"{value:.0f} B"


def count(value: float) -> str:
    """Return a count with thousands separated.

    Examples
    --------
    >>> count(1234567)
    '1,234,567'
    """
    return f"{value:,.0f}"


class Table(NamedTuple):
    """Rows of text under a heading; one column of it may be drawn as bars in HTML.

    Attributes
    ----------
    columns : tuple of str
        Headings. Those that end in ">" are aligned to the right.
    rows : tuple of tuple of str
        Cells.
    bars : tuple of (float or None)
        For each row the length of its bar, in any unit; empty for none.
    marked : int or None
        The row to emphasise.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bars: tuple[float | None, ...] = ()
    marked: int | None = None

    def text(self) -> str:
        """Return the table with its columns aligned."""
        heads = [column.rstrip(">") for column in self.columns]
        cells = list(zip(heads, *self.rows, strict=True))
        widths = [max(map(len, column)) for column in cells]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if column.endswith(">") else cell.ljust(width)
                for cell, width, column in zip(row, widths, self.columns, strict=True)
            ).rstrip()
            for row in [tuple(heads), *self.rows]
        )

    def html(self) -> str:
        """Return the table as HTML, with bars if there are lengths for them."""
        longest = max((bar for bar in self.bars if bar), default=0.0)
        lines = ["<table style='border-collapse:collapse;font-variant-numeric:tabular-nums'><thead><tr>"]
        lines += [
            f"<th style='text-align:{_align(column)};padding:2px 8px'>{_escape(column.rstrip('>'))}</th>"
            for column in self.columns
        ]
        if longest:
            lines.append("<th></th>")
        lines.append("</tr></thead><tbody>")
        for number, row in enumerate(self.rows):
            weight = "font-weight:bold" if number == self.marked else "opacity:.85"
            lines.append(f"<tr style='{weight}'>")
            lines += [
                f"<td style='text-align:{_align(c)};padding:2px 8px'>{_escape(cell)}</td>"
                for cell, c in zip(row, self.columns, strict=True)
            ]
            if longest:
                lines.append(f"<td>{_bar(self.bars[number], longest, number == self.marked)}</td>")
            lines.append("</tr>")
        lines.append("</tbody></table>")
        return "".join(lines)


class Report:
    """A title, lines of facts and tables: what the library shows instead of printing.

    Attributes
    ----------
    title : str
        First line.
    facts : tuple of (str, str)
        Names and values, one to a line.
    tables : tuple of Table
        Shown below the facts.
    """

    __slots__ = ("facts", "tables", "title")

    def __init__(
        self, title: str, facts: tuple[tuple[str, str], ...] = (), tables: tuple[Table, ...] = ()
    ) -> None:
        self.title, self.facts, self.tables = title, facts, tables

    def __str__(self) -> str:
        width = max((len(name) for name, _ in self.facts), default=0)
        parts = [self.title]
        parts += [f"  {name.ljust(width)}  {value}" for name, value in self.facts]
        for table in self.tables:
            parts += ["", table.text()]
        return "\n".join(parts)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        facts = "".join(
            f"<tr><td style='padding:1px 8px;opacity:.7'>{_escape(name)}</td>"
            f"<td style='text-align:left;padding:1px 8px'>{_escape(value)}</td></tr>"
            for name, value in self.facts
        )
        tables = "".join(table.html() for table in self.tables)
        return f"<div><b>{_escape(self.title)}</b><table>{facts}</table>{tables}</div>"


def _align(column: str) -> str:
    return "right" if column.endswith(">") else "left"


def _bar(value: float | None, longest: float, marked: bool) -> str:
    if not value:
        return ""
    colour = "#2a7" if marked else "#89b"
    width = max(1, round(160 * value / longest))
    return f"<div style='background:{colour};height:10px;width:{width}px'></div>"


def _escape(text: str) -> str:
    # The four characters that matter; importing the html module costs 3 ms.
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;")):
        text = text.replace(character, entity)
    return text


def join(items: Sequence[str]) -> str:
    """Return the items separated by commas, or "none".

    Examples
    --------
    >>> join([])
    'none'
    """
    return ", ".join(items) or "none"
