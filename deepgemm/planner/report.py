"""Tables as text for terminals and as HTML with bars for notebooks, and figures with units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..markup import ACCENT, card, escape

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


# Pixels of the longest bar, and how many times the marked one it stands for.
_LONGEST = 80
_MOST_MULTIPLE = 8


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
        The row to emphasise. Bars are then drawn, and labelled, as multiples of its own.
    longest : float or None
        What the longest bar that there may be stands for; by default the longest of `bars`.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    bars: tuple[float | None, ...] = ()
    marked: int | None = None
    longest: float | None = None

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
        """Return the table as HTML, with bars if there are lengths for them.

        Where a row has nothing between its first cell and its last, the last one takes that room.
        """
        drawn = any(self.bars)
        over_bars = ["" if self.marked is None else "relative"] if drawn else []
        heads = [
            f"<th style='{_cell(column)}'>{escape(column.rstrip('>'))}</th>"
            for column in (*self.columns, *over_bars)
        ]
        rows = [
            f"<tr style='{'font-weight:bold' if number == self.marked else 'opacity:.9'}'>"
            f"{''.join(self._cells(row))}{f'<td>{self._bar(number)}</td>' if drawn else ''}</tr>"
            for number, row in enumerate(self.rows)
        ]
        return (
            "<table style='border-collapse:collapse;font-variant-numeric:tabular-nums;margin:8px 0'>"
            f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        )

    def _cells(self, row: tuple[str, ...]) -> list[str]:
        if len(row) > 2 and not any(row[1:-1]):
            wide = f"<td colspan='{len(row) - 1}' style='{_cell('')};opacity:.75'>{escape(row[-1])}</td>"
            return [f"<td style='{_cell(self.columns[0])}'>{escape(row[0])}</td>", wide]
        return [
            f"<td style='{_cell(column)}'>{escape(cell)}</td>"
            for cell, column in zip(row, self.columns, strict=True)
        ]

    def _bar(self, number: int) -> str:
        value = self.bars[number]
        if not value:
            return ""
        unit = None if self.marked is None else self.bars[self.marked]
        if not unit:
            longest = self.longest or max(bar for bar in self.bars if bar)
            return _drawn(_LONGEST * value / longest, ACCENT, "")
        # A few times slower is what readers compare; beyond that a number tells more than a length.
        width = _LONGEST * min(value / unit / _MOST_MULTIPLE, 1.0)
        colour = ACCENT if number == self.marked else "rgba(128,128,128,.6)"
        return _drawn(width, colour, f"{value / unit:.3g} ×")


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
        return card(self.title, self.facts, below="".join(table.html() for table in self.tables))


def _cell(column: str) -> str:
    align = "right" if column.endswith(">") else "left"
    return f"text-align:{align};padding:2px 6px;white-space:nowrap"


def _drawn(width: float, colour: str, label: str) -> str:
    bar = f"background:{colour};height:10px;width:{max(1, round(width))}px;margin-right:6px"
    line = "display:flex;align-items:center;white-space:nowrap"
    return f"<div style='{line}'><div style='{bar}'></div>{label}</div>"


def join(items: Sequence[str]) -> str:
    """Return the items separated by commas, or "none".

    Examples
    --------
    >>> join([])
    'none'
    """
    return ", ".join(items) or "none"
