"""Reading matrices from files: what is good comes in, what is bad gives one line that names it."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from deepgemm.cli import files
from deepgemm.cli.files import FileError, read_matrix

HEADER = "%%MatrixMarket matrix coordinate real general\n"
ENTRIES = "% a comment\n3 4 4\n1 1 1.5\n2 2 2.5\n3 4 -3\n1 3 4e0\n"
DENSE = np.array([[1.5, 0, 4, 0], [0, 2.5, 0, 0], [0, 0, 0, -3]])
FORMATS = ("csr", "csc", "coo", "bsr", "dia")


def _large_market(entries: int = 60_000) -> bytes:
    rng = np.random.default_rng(0)
    A = sp.coo_array(
        (rng.random(entries), (rng.integers(0, 900, entries), rng.integers(0, 800, entries))), (900, 800)
    )
    A.sum_duplicates()
    stream = io.BytesIO()
    scipy.io.mmwrite(stream, A)
    return stream.getvalue()


@pytest.fixture(scope="module")
def large() -> bytes:
    return _large_market()


# --- good files


@pytest.mark.parametrize("name", ["a.mtx", "a.mtx.gz", "A.MTX.GZ"])
def test_market_files_compressed_or_not(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = (HEADER + ENTRIES).encode()
    path.write_bytes(gzip.compress(content) if name.lower().endswith("gz") else content)
    A = read_matrix(path)
    assert A.format == "csr"
    assert np.array_equal(A.toarray(), DENSE)


def test_compressed_content_under_a_plain_name(tmp_path: Path) -> None:
    path = tmp_path / "a.mtx"
    path.write_bytes(gzip.compress((HEADER + ENTRIES).encode()))
    assert np.array_equal(read_matrix(path).toarray(), DENSE)


@pytest.mark.parametrize(
    ("kind", "symmetry", "values", "expected"),
    [
        ("pattern", "general", ("", ""), [[0, 1], [1, 0]]),
        ("integer", "general", (" 3", " -4"), [[0, 3], [-4, 0]]),
        ("complex", "general", (" 1 2", " 0 -1"), [[0, 1 + 2j], [-1j, 0]]),
    ],
)
def test_fields_of_market_files(
    tmp_path: Path, kind: str, symmetry: str, values: tuple[str, str], expected: list[list[complex]]
) -> None:
    path = tmp_path / "a.mtx"
    path.write_text(
        f"%%MatrixMarket matrix coordinate {kind} {symmetry}\n2 2 2\n1 2{values[0]}\n2 1{values[1]}\n"
    )
    assert np.array_equal(read_matrix(path).toarray(), expected)


def test_symmetric_files_are_expanded(tmp_path: Path) -> None:
    path = tmp_path / "a.mtx"
    path.write_text("%%MatrixMarket matrix coordinate real symmetric\n2 2 2\n1 1 5\n2 1 3\n")
    assert np.array_equal(read_matrix(path).toarray(), [[5, 3], [3, 0]])


@pytest.mark.parametrize("size", ["0 0 0", "3 0 0", "0 3 0", "3 3 0"])
def test_empty_matrices(tmp_path: Path, size: str) -> None:
    path = tmp_path / "a.mtx"
    path.write_text(f"{HEADER}{size}\n")
    A = read_matrix(path)
    assert A.nnz == 0
    assert A.shape == tuple(int(word) for word in size.split()[:2])


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_npz_of_every_format(tmp_path: Path, form: str, kind: str) -> None:
    A = sp.random_array((12, 8), density=0.3, rng=np.random.default_rng(1))
    saved = A.asformat(form) if kind == "array" else sp.csr_matrix(A).asformat(form)
    sp.save_npz(tmp_path / "a.npz", saved)
    assert np.array_equal(read_matrix(tmp_path / "a.npz").toarray(), A.toarray())


@pytest.mark.parametrize("dtype", ["float32", "int64", "complex128", "bool"])
def test_npz_keeps_the_dtype(tmp_path: Path, dtype: str) -> None:
    sp.save_npz(tmp_path / "a.npz", sp.csr_array(np.eye(3, dtype=dtype)))
    assert read_matrix(tmp_path / "a.npz").dtype == np.dtype(dtype)


def test_the_data_sets_read_as_their_manifest_says() -> None:
    folder = os.environ.get("DEEPGEMM_DATA_DIR")
    if not folder or not Path(folder, "MANIFEST.csv").is_file():
        pytest.skip("DEEPGEMM_DATA_DIR names no folder with a MANIFEST.csv")
    with Path(folder, "MANIFEST.csv").open(encoding="utf-8") as manifest:
        rows = [row for row in csv.DictReader(manifest) if row["file"].endswith((".mtx", ".mtx.gz"))]
    assert rows
    for row in rows:
        if int(row["nnz"]) <= 300_000:  # the larger ones show nothing new and take a minute
            A = read_matrix(Path(folder, row["file"]))
            found = (*A.shape, A.nnz)
            assert found == (int(row["rows"]), int(row["cols"]), int(row["nnz"])), row["file"]


# --- bad files: the message is one line with the path and the reason


def check_refused(path: Path, reason: str) -> None:
    with pytest.raises(FileError) as caught:
        read_matrix(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: "), message
    assert reason in message, message
    assert "\n" not in message


def test_missing(tmp_path: Path) -> None:
    check_refused(tmp_path / "a.mtx", "no such file")


def test_directory(tmp_path: Path) -> None:
    (tmp_path / "a.npz").mkdir()
    check_refused(tmp_path / "a.npz", "is a directory")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mtx")
    check_refused(tmp_path / "a.mtx", "is not a regular file")


@pytest.mark.parametrize("name", ["a.csv", "a", "a.tar.gz", "a.npy", ".mtxx"])
def test_unknown_suffix(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("1")
    check_refused(tmp_path / name, "expected one of: .mtx, .mtx.gz, .npz")


@pytest.mark.parametrize("name", ["a.mtx", "a.mtx.gz", "a.npz"])
def test_empty_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    check_refused(tmp_path / name, "is empty")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "a.mtx"
    path.write_text(HEADER + ENTRIES)
    path.chmod(0)
    check_refused(path, "permission denied")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("hello\n1 1 1\n", "is no Matrix Market file"),
        ("\n\n", "is no Matrix Market file"),
        ("%%MatrixMarket matrix\n1 1 1\n", "the first line has 2 words"),
        ("%%MatrixMarket matrix array real general\n1 1\n1\n", "holds a dense matrix"),
        ("%%MatrixMarket vector coordinate real general\n3 1\n1 1\n", "expected matrix coordinate"),
        (HEADER, "the size line is ''"),
        (HEADER + "3 4\n1 1 1\n", "the size line is '3 4'"),
        (HEADER + "3 4 x\n1 1 1\n", "the size line is '3 4 x'"),
        (HEADER + "-3 4 1\n1 1 1\n", "the size line says -3 4 1"),
        (HEADER + "99999999999999999999 4 1\n1 1 1\n", "the size line says"),
        (HEADER + "3 4 99999999999999\n1 1 1\n", "is too large for memory: it needs about"),
        (HEADER + ENTRIES[:-5], "is corrupt"),
        (HEADER + ENTRIES[: ENTRIES.index("3 4 -3")], "Truncated file"),
        (HEADER + ENTRIES + "1 2 3\n", "Too many lines"),
        (HEADER + ENTRIES.replace("3 4 -3", "4 4 -3"), "Row index out of bounds"),
        (HEADER + ENTRIES.replace("3 4 -3", "3 0 -3"), "olumn index out of bounds"),
        (HEADER + ENTRIES.replace("2.5", "two"), "Invalid floating-point value"),
        (HEADER + ENTRIES.replace("2 2 2.5", "nan 2 2.5"), "Invalid integer value"),
        (HEADER.replace("general", "symmetric") + ENTRIES, "symmetric but 3 rows and 4 columns"),
        (HEADER.replace("real", "quaternion") + ENTRIES, "is corrupt"),
    ],
)
def test_bad_market_files(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "a.mtx").write_text(content)
    check_refused(tmp_path / "a.mtx", reason)


def test_a_shape_too_large_for_memory(tmp_path: Path) -> None:
    (tmp_path / "a.mtx").write_text(f"{HEADER}9000000000000000000 4 1\n1 1 1\n")
    check_refused(tmp_path / "a.mtx", "is too large for memory")


@pytest.mark.parametrize("share", [0.001, 0.3, 0.999])
def test_truncated_gzip(tmp_path: Path, large: bytes, share: float) -> None:
    packed = gzip.compress(large)
    (tmp_path / "a.mtx.gz").write_bytes(packed[: int(len(packed) * share)])
    check_refused(tmp_path / "a.mtx.gz", "is truncated: the compressed data end early")


def test_truncated_plain_file(tmp_path: Path, large: bytes) -> None:
    (tmp_path / "a.mtx").write_bytes(large[: len(large) // 2])
    check_refused(tmp_path / "a.mtx", "is corrupt")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_corrupt_gzip(tmp_path: Path, large: bytes, share: float) -> None:
    packed = bytearray(gzip.compress(large))
    place = int(len(packed) * share)
    packed[place : place + 8] = b"\xff" * 8
    (tmp_path / "a.mtx.gz").write_bytes(packed)
    check_refused(tmp_path / "a.mtx.gz", "is corrupt")


def test_wrong_checksum(tmp_path: Path) -> None:
    packed = gzip.compress((HEADER + ENTRIES).encode())
    (tmp_path / "a.mtx.gz").write_bytes(packed[:-8] + b"\0\0\0\0" + packed[-4:])
    check_refused(tmp_path / "a.mtx.gz", "CRC check failed")


def test_a_gzip_name_without_gzip(tmp_path: Path) -> None:
    (tmp_path / "a.mtx.gz").write_text(HEADER + ENTRIES)
    check_refused(tmp_path / "a.mtx.gz", "not a gzip file")


def test_binary_content(tmp_path: Path) -> None:
    (tmp_path / "a.mtx").write_bytes(HEADER.encode() + b"3 3 1\n" + bytes(range(128, 256)))
    check_refused(tmp_path / "a.mtx", "is corrupt")


class Bomb:
    """Leaves a mark if it is ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


def save(path: Path, **arrays: object) -> None:
    np.savez(path, **arrays)  # type: ignore[arg-type]


def parts(**changes: object) -> dict[str, object]:
    A = sp.csr_array(DENSE)
    return {
        "data": A.data,
        "indices": A.indices,
        "indptr": A.indptr,
        "shape": A.shape,
        "format": b"csr",
        **changes,
    }


def test_npz_that_is_no_sparse_matrix(tmp_path: Path) -> None:
    save(tmp_path / "a.npz", weights=np.ones(3), biases=np.ones(3))
    check_refused(tmp_path / "a.npz", "is no sparse matrix: it holds biases, weights")


def test_npz_with_pickles_is_not_executed(tmp_path: Path) -> None:
    for name in ("data", "format"):
        content = parts(**{name: np.array([Bomb(tmp_path / "mark")], dtype=object)})
        save(tmp_path / "a.npz", **content)
        check_refused(tmp_path / "a.npz", "holds pickled Python objects")
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Bomb(tmp_path / "mark")))
    check_refused(tmp_path / "b.npz", "is no npz archive")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"indices": np.array([0, 2, 9, 3])}, "holds no valid matrix"),
        ({"indices": np.array([0, 2, -1, 3])}, "holds no valid matrix"),
        ({"indices": np.array([0.0, 2, 1, np.nan])}, "holds no valid matrix"),
        ({"indptr": np.array([0, 3, 2, 4])}, "holds no valid matrix"),
        ({"indptr": np.array([0, 2, 4])}, "holds no valid matrix"),
        ({"indptr": np.array([0, 2, 3, 400])}, "holds no valid matrix"),
        ({"data": np.ones(3)}, "holds no valid matrix"),
        ({"data": np.array(["a", "b", "c", "d"])}, "holds no valid matrix"),
        ({"shape": np.array([3, 4, 5])}, "its shape is [3, 4, 5]"),
        ({"shape": np.array([-3, 4])}, "holds no valid matrix"),
        ({"shape": np.array([3.5, 4])}, "its shape is [3.5, 4.0]"),
        ({"shape": np.array(3)}, "its shape is 3"),
        ({"format": b"lil"}, "format 'lil'"),
        ({"format": np.array([1, 2])}, "is corrupt"),
        ({"format": b"coo"}, "the array"),
        ({"format": b"dia"}, "the array"),
        ({"format": b"dia", "offsets": np.array([0])}, "is no sparse matrix"),
        ({"format": b"bsr"}, "holds no valid matrix"),
    ],
)
def test_bad_npz_parts(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    save(tmp_path / "a.npz", **parts(**changes))
    check_refused(tmp_path / "a.npz", reason)


def test_coordinates_out_of_range(tmp_path: Path) -> None:
    content = {"data": np.ones(1), "row": [7], "col": [0], "shape": (3, 4), "format": b"coo"}
    save(tmp_path / "a.npz", **content)
    check_refused(tmp_path / "a.npz", "holds no valid matrix")


def test_missing_array(tmp_path: Path) -> None:
    content = parts()
    del content["indptr"]
    save(tmp_path / "a.npz", **content)
    check_refused(tmp_path / "a.npz", "the array 'indptr")


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_truncated_npz(tmp_path: Path, compressed: bool, share: float) -> None:
    sp.save_npz(tmp_path / "a.npz", sp.random_array((300, 300), density=0.2), compressed=compressed)
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[: int(len(content) * share)])
    check_refused(tmp_path / "a.npz", "is corrupt")


@pytest.mark.parametrize("compressed", [True, False])
def test_corrupt_npz(tmp_path: Path, compressed: bool) -> None:
    sp.save_npz(tmp_path / "a.npz", sp.random_array((300, 300), density=0.2), compressed=compressed)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    for place in range(2000, len(content) - 2000, 5000):
        content[place] ^= 0x55
    (tmp_path / "a.npz").write_bytes(content)
    check_refused(tmp_path / "a.npz", "is corrupt")


def test_a_text_file_named_npz(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("hello")
    check_refused(tmp_path / "a.npz", "is no npz archive")


def test_an_npz_larger_than_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sp.save_npz(tmp_path / "a.npz", sp.eye_array(1000, format="csr"))
    monkeypatch.setattr(files, "available_memory", lambda: 1000)
    check_refused(tmp_path / "a.npz", "is too large for memory: it needs about")


def test_an_array_header_that_claims_too_much(tmp_path: Path) -> None:
    # Such a file is small: only NumPy's attempt to allocate shows what it claims.
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (2**50,)})
    save(tmp_path / "a.npz", **{name: value for name, value in parts().items() if name != "data"})
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("data.npy", stream.getvalue() + bytes(64))
    with pytest.raises(FileError, match=r"too large for memory|corrupt"):
        read_matrix(tmp_path / "a.npz")


@pytest.mark.parametrize("seed", range(20))
def test_random_damage_never_escapes(tmp_path: Path, large: bytes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sp.save_npz(
        tmp_path / "a.npz", sp.random_array((50, 60), density=0.1, rng=rng), compressed=bool(seed % 2)
    )
    (tmp_path / "a.mtx.gz").write_bytes(gzip.compress(large[:20_000]))
    (tmp_path / "a.mtx").write_bytes(HEADER.encode() + ENTRIES.encode())
    for name in ("a.npz", "a.mtx.gz", "a.mtx"):
        content = bytearray((tmp_path / name).read_bytes())
        for place in rng.integers(0, len(content), 3):
            content[place] = rng.integers(0, 256)
        (tmp_path / name).write_bytes(content)
        with contextlib.suppress(FileError):
            read_matrix(tmp_path / name)
