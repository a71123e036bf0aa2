"""What notebooks show of the types: well-formed, described in words, and true to the data."""

from __future__ import annotations

import base64
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
import scipy.sparse as sp
from deepgemm.sparse import thumbnail

import deepgemm as dg
from deepgemm import markup, png

EMPTY_TAGS = {"img"}
RNG = np.random.default_rng(5)
DENSE = (RNG.random((48, 80)) < 0.2) * RNG.standard_normal((48, 80))


class Checker(HTMLParser):
    """Fails on tags that are not closed in turn, and collects pictures with what describes them."""

    def __init__(self, page):
        super().__init__()
        self.open, self.described = [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        if tag in ("img", "svg"):
            self.described.append(named.get("alt") or named.get("aria-label"))
        if tag not in EMPTY_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _pixels(page):
    """Return the levels, 0 to 15, of the PNG in a page, having checked what surrounds them."""
    image = base64.b64decode(re.search(r"data:image/png;base64,([^']+)'", page)[1])
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, rest = {}, image[8:]
    while rest:
        length = int.from_bytes(rest[:4], "big")
        name, data, crc = rest[4:8], rest[8 : 8 + length], rest[8 + length : 12 + length]
        assert zlib.crc32(name + data) == int.from_bytes(crc, "big")
        chunks[name] = data
        rest = rest[12 + length :]
    width, height = (int.from_bytes(chunks[b"IHDR"][i : i + 4], "big") for i in (0, 4))
    assert len(chunks[b"PLTE"]) == 3 * len(chunks[b"tRNS"])
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert (lines[:, 0] == 0).all()
    levels = np.empty((height, 2 * (lines.shape[1] - 1)), np.uint8)
    levels[:, ::2], levels[:, 1::2] = lines[:, 1:] >> 4, lines[:, 1:] & 15
    return levels[:, :width]


def _shown():
    A = dg.CSR(DENSE)
    yield A
    yield A.tocsc()
    yield A.tocoo()
    yield A.tobsr((4, 4))
    yield dg.CSR(([1.0, 2.0], [1, 0], [0, 2]), shape=(1, 2))
    yield dg.Ragged([[1, 2, 3], [], [4]])
    yield dg.RaggedMatrix.from_list([np.ones((2, 3)), np.ones((1, 2))])
    yield from (dg.quantize(DENSE, dtype) for dtype in ("int8", "int4", "uint2", "float8_e5m2"))
    yield dg.structure(A)
    yield dg.structure(DENSE)
    yield dg.plan(A, np.ones((80, 3)))
    yield dg.show_machine()


@pytest.mark.parametrize("value", list(_shown()), ids=lambda value: type(value).__name__)
def test_pages_are_well_formed_and_stand_alone(value):
    page = value._repr_html_()
    checked = Checker(page)
    assert all(checked.described)
    assert "http" not in page
    assert "<script" not in page
    pictured = isinstance(value, dg.SparseArray | dg.Ragged | dg.RaggedMatrix | dg.Quantized)
    assert len(checked.described) == pictured


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "bsr"])
def test_small_matrices_are_drawn_element_by_element(format):
    dense = np.array([[1.0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]])
    array = dg.CSR(dense)
    array = array.tobsr((1, 2)) if format == "bsr" else array.asformat(format)
    page = array._repr_html_()
    stored = array.tocsr()
    places = stored.with_data(np.ones(stored.nnz)).toarray()
    assert np.array_equal(_pixels(page), 15 * places)
    assert "element by element" in page


def test_shades_follow_the_density():
    # Quarters of a matrix: full, a quarter full, one entry, none.
    dense = np.zeros((256, 256))
    dense[:128, :128] = 1
    dense[:128:2, 128::2] = 1
    dense[200, 20] = 1
    levels = _pixels(dg.CSR(dense)._repr_html_())
    assert levels.shape == (64, 64)
    assert (levels[:32, :32] == 15).all()
    assert (levels[:32, 32:] == 8).all()  # half of 15, rounded up: the square root of a quarter
    assert levels[50, 5] > 0
    assert np.count_nonzero(levels[32:]) == 1


def test_large_matrices_are_sampled_evenly(monkeypatch):
    # A band whose lines all have one length, and of which a regular sample would meet one diagonal.
    array = dg.CSR(sp.diags_array([1.0] * 8, offsets=range(-4, 4), shape=(4096, 4096)))
    whole = thumbnail._densities(array, (64, 64))
    monkeypatch.setattr(thumbnail, "_SAMPLE", 4096)
    monkeypatch.setattr(thumbnail.spread, "__defaults__", (4096,))
    sampled = thumbnail._densities(array, (64, 64))
    assert sampled.sum() == pytest.approx(whole.sum(), rel=0.01)
    assert np.diag(sampled) == pytest.approx(np.diag(whole), rel=0.2)


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 12345])
def test_samples_ascend_and_stay_inside(count):
    positions = thumbnail.spread(count, 100)
    assert len(positions) == min(count, 100)
    assert (np.diff(positions) >= 0).all()
    assert not len(positions) or 0 <= positions[0] <= positions[-1] < count


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (3, 4)])
def test_without_entries_there_is_no_picture(shape):
    page = dg.CSR(shape)._repr_html_()
    assert "<img" not in page
    assert f"{shape[0]} × {shape[1]}" in page


@pytest.mark.parametrize("shape", [(1, 100_000), (100_000, 1), (1, 1), (7, 3), (10**9, 10**9)])
def test_extreme_shapes(shape):
    array = dg.COO(([1.0], ([shape[0] - 1], [shape[1] - 1])), shape=shape)
    levels = _pixels(array._repr_html_())
    assert levels[-1, -1] == 15
    assert np.count_nonzero(levels) == 1


def test_duplicates_fill_no_more_than_their_place():
    array = dg.COO((np.ones(5), (np.zeros(5, int), np.zeros(5, int))), shape=(2, 100))
    assert thumbnail._densities(array, (1, 1)).max() == 5 / 200
    assert thumbnail._densities(array, (2, 100)).max() == 1.0


def test_changed_memory_cannot_break_a_page():
    data, indices, indptr = np.ones(4), np.array([0, 1, 2, 3]), np.array([0, 2, 4])
    array = dg.CSR((data, indices, indptr), shape=(2, 4))
    indices[:], indptr[:] = (-(2**40), 2**40, 9, 9), (7, -3, 5)
    Checker(array._repr_html_())


def test_layouts_are_shown():
    array = dg.CSR(sp.random_array((500, 500), density=0.1, rng=0))
    assert "layouts held" not in array._repr_html_()
    dg.plan(array, np.ones(500), kernel="sell_vector")
    assert "sell:csr" in array._repr_html_()


def test_what_padding_would_waste():
    page = dg.Ragged([[0] * 4, [], [0] * 2, [0] * 2])._repr_html_()
    assert "padded, 50% would be waste" in page
    area = re.search(r"<path d='([^']+)'", page)[1]
    assert area == "M0 80V0.0H40.0V40.0H80.0V40.0H120.0V80.0H160.0V80Z"
    assert "<svg" not in dg.Ragged([[], []])._repr_html_()
    matrices = dg.RaggedMatrix.from_list([np.ones((2, 4)), np.ones((4, 1)), np.ones((0, 3))])._repr_html_()
    assert "padded, 75% would be waste" in matrices
    assert "0 × 1 to 4 × 4" in matrices
    assert "<svg" not in dg.RaggedMatrix.from_list([])._repr_html_()


def test_how_often_quantised_values_occur():
    values = np.array([[-2, -1, 0, 1], [1, 1, 0, 0]], np.int8)
    page = dg.quantize(values.astype(np.float32), "int2", axis=0)._repr_html_()
    assert page.count("<rect") == 4 + 1  # and the line below them
    assert "from -2 to 1" in page
    eights = dg.Quantized(np.array([[-128, 0, 127, 127]], np.int8), 1.0)._repr_html_()
    assert eights.count("<rect") == 32 + 1
    assert "50.00% from 120" in eights
    nan = dg.Quantized(np.full((2, 2), np.nan, dg.float8_e5m2), 1.0)
    assert "<svg" in nan._repr_html_()
    assert "<svg" not in dg.Quantized(np.zeros((0, 3), np.int8), 1.0)._repr_html_()


def test_text_is_escaped():
    page = markup.card("<i>", [("a&b", "\"'<script>")])
    assert "<i>" not in page
    assert "<script>" not in page
    assert "&quot;&#39;&lt;script&gt;" in page
    drawn = markup.bars([1.0], ["<b>"], "'x'", "a<b")
    assert "<b>" not in drawn
    assert "aria-label='&#39;x&#39;'" in drawn
    assert "a&lt;b" in drawn


def test_pictures_of_odd_width():
    shares = np.array([[0.0, 0.01, 1.0], [0.5, 0.0, 2.0]])
    assert _pixels(f"'{png.data_uri(shares, '#000000')}'").tolist() == [[0, 1, 15], [8, 0, 15]]
