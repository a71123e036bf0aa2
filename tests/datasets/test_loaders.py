"""Real sets by name: from a data folder, from the cache, by a download that is verified, and refusals."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import logging
import tarfile
import threading

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from deepgemm.datasets import fetch, loaders, sources

import deepgemm as dg
from deepgemm import datasets
from deepgemm.config import settings

SMALL = scipy.sparse.coo_array(np.array([[0.0, 2.5, 0.0], [1.0, 0.0, 4.0]]))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """An empty data folder and an empty cache."""
    data, cache = tmp_path / "data", tmp_path / "cache"
    data.mkdir()
    monkeypatch.setenv("DEEPGEMM_DATA_DIR", str(data))
    monkeypatch.setenv("DEEPGEMM_CACHE_DIR", str(cache))
    fetch._manifest.cache_clear()
    return data, cache


def market(matrix=SMALL):
    buffer = io.BytesIO()
    scipy.io.mmwrite(buffer, matrix)
    return buffer.getvalue()


def put(folder, local, content, listed=None):
    """Write a file of a data folder, and list it in the manifest, with a checksum that may be wrong."""
    path = folder / local
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if local.endswith(".gz") else content)
    manifest = folder / "MANIFEST.csv"
    lines = manifest.read_text() if manifest.exists() else "file,sha256\n"
    manifest.write_text(f"{lines}{local},{listed or hashlib.sha256(path.read_bytes()).hexdigest()}\n")
    return path


@pytest.fixture
def server(tmp_path):
    """A web server on this machine, and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", folder
        running.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class TestFromTheDataFolder:
    def test_matrices(self, folders):
        data, _ = folders
        put(data, "recsys/ml-latest-small.mtx.gz", market())
        put(data, "recsys/gowalla_train.mtx.gz", market(SMALL.astype(bool)))
        put(data, "recsys/gowalla_test.mtx.gz", market(SMALL))
        put(data, "fem/bcsstk13.mtx.gz", market())
        put(data, "elsewhere/mine.mtx", market())
        ratings = datasets.movielens()
        assert isinstance(ratings, dg.CSR)
        assert ratings.dtype == np.float32
        np.testing.assert_array_equal(ratings.toarray(), SMALL.toarray())
        assert datasets.movielens(np.float64).dtype == np.float64
        np.testing.assert_array_equal(datasets.gowalla().toarray(), SMALL.toarray() != 0)
        assert datasets.gowalla("test").nnz == 3
        np.testing.assert_array_equal(datasets.suitesparse("bcsstk13").toarray(), SMALL.toarray())
        assert datasets.suitesparse("mine", dtype=np.float32).dtype == np.float32

    def test_weights(self, folders):
        name = datasets.names("dlmc")[0]
        put(folders[0], sources.about(name).local, market(SMALL.astype(bool)))
        weights = datasets.dlmc(name)
        assert weights.nnz == 3
        assert weights.equals(datasets.dlmc(name))
        assert not weights.equals(datasets.dlmc(name, seed=1))
        assert datasets.dlmc(name, seed=None, dtype=dg.bfloat16).data.astype(float).tolist() == [1.0] * 3

    def test_sessions(self, folders):
        put(folders[0], "ragged-sessions/s3rec_Beauty.txt.gz", b"1 5 6\n2 7\n\n3 5 6 7\n")
        found = datasets.sessions()
        assert found.to_list() == [[5, 6], [7], [5, 6, 7]]
        assert found.dtype == np.int32

    def test_checksums(self, folders):
        put(folders[0], "recsys/ml-latest-small.mtx.gz", market(), listed="0" * 64)
        with pytest.raises(ValueError, match=r"has the SHA-256 [0-9a-f]{64}, but MANIFEST.csv says 0000"):
            datasets.movielens()


class TestUpstreamForms:
    """What the sources publish, read from the cache as a download would leave it."""

    @pytest.fixture(autouse=True)
    def at_hand(self, tmp_path, monkeypatch):
        self.folder = tmp_path
        monkeypatch.setattr(loaders, "locate", lambda source: self.path)

    def keep(self, name, content):
        self.path = self.folder / name
        self.path.write_bytes(content)

    def test_ratings(self):
        self.keep("r.csv", b"userId,movieId,rating,timestamp\n1,31,2.5,1\n1,1029,3.0,2\n2,10,4.0,3\n")
        np.testing.assert_array_equal(datasets.movielens().toarray(), [[0, 2.5, 3.0], [4.0, 0, 0]])

    def test_adjacency_and_lists(self, monkeypatch):
        monkeypatch.setattr(loaders, "_GOWALLA_USERS", 2)
        monkeypatch.setattr(loaders, "_GOWALLA_PLACES", 3)
        whole = scipy.sparse.block_array([[None, SMALL], [SMALL.T, None]], format="csr")
        buffer = io.BytesIO()
        scipy.sparse.save_npz(buffer, whole)
        self.keep("a.npz", buffer.getvalue())
        np.testing.assert_array_equal(datasets.gowalla().toarray(), SMALL.toarray() != 0)
        self.keep("t.txt", b"0 2 0\n1 1\n")
        np.testing.assert_array_equal(datasets.gowalla("test").toarray(), [[1, 0, 1], [0, 1, 0]])

    def test_structure_of_weights(self):
        self.keep("w.smtx", b"2, 3, 3\n0 1 3\n1 2 0\n")
        weights = datasets.dlmc(datasets.names("dlmc")[0], seed=None)
        np.testing.assert_array_equal(weights.toarray(), [[0, 1, 0], [1, 0, 1]])

    def test_archives(self):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            member = tarfile.TarInfo("tiny/tiny.mtx")
            member.size = len(market())
            archive.addfile(member, io.BytesIO(market()))
        self.keep("HB_tiny.tar.gz", buffer.getvalue())
        np.testing.assert_array_equal(datasets.suitesparse("HB/tiny").toarray(), SMALL.toarray())


class TestDownloads:
    @pytest.fixture(autouse=True)
    def needs(self):
        pytest.importorskip("pooch")

    def source(self, base, content, folder, sha256=None):
        (folder / "m.mtx").write_bytes(content)
        checksum = hashlib.sha256(content).hexdigest() if sha256 is None else sha256
        return sources.Source("m", "suitesparse", "x/m.mtx.gz", f"{base}/m.mtx", checksum)

    def test_once(self, folders, server, caplog):
        source = self.source(server[0], market(), server[1])
        with caplog.at_level(logging.INFO, "deepgemm"):
            path = fetch.locate(source)
        assert path.read_bytes() == market()
        assert path.parent == folders[1] / "datasets"
        assert "licence: CC BY 4.0" in caplog.text
        assert "cite: T. A. Davis" in caplog.text
        (server[1] / "m.mtx").unlink()
        caplog.clear()
        assert fetch.locate(source) == path
        assert not caplog.text

    def test_the_data_folder_comes_first(self, folders, server):
        source = self.source(server[0], market(), server[1])
        path = put(folders[0], source.local, market())
        assert fetch.locate(source) == path

    def test_other_content_is_refused(self, folders, server):
        with pytest.raises(ValueError, match="hash"):
            fetch.locate(self.source(server[0], market(), server[1], sha256="0" * 64))
        assert not list((folders[1] / "datasets").glob("m*"))

    def test_without_a_network(self, folders):
        source = sources.Source("m", "suitesparse", "x/m.mtx.gz", "http://127.0.0.1:9/m.mtx", "0" * 64)
        with pytest.raises(FileNotFoundError) as caught:
            fetch.locate(source)
        message = str(caught.value)
        assert message.startswith("m could not be downloaded from http://127.0.0.1:9/m.mtx (")
        assert f"put that file at {folders[1] / 'datasets' / 'm.mtx'}, " in message
        assert message.endswith("or set DEEPGEMM_DATA_DIR to a folder with x/m.mtx.gz")

    def test_a_terminal_shows_the_terms_and_a_bar(self, folders, server, monkeypatch, capsys):
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        source = self.source(server[0], market(), server[1])
        assert fetch.locate(source).is_file()
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "licence: CC BY 4.0" in shown.err
        assert "cite: T. A. Davis" in shown.err
        assert fetch.locate(source).is_file()
        assert "licence" not in capsys.readouterr().err


def test_pooch_is_optional(folders, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(
        dg.UnsupportedError, match=r"downloading it needs pooch: pip install .deepgemm\[datasets\]"
    ):
        datasets.movielens()


def test_names_and_terms():
    everything = datasets.names()
    assert len(everything) == len(set(everything)) == 41
    assert set(datasets.names("sessions")) < set(everything)
    for name in everything:
        source = datasets.about(name)
        assert len(source.sha256) == 64
        assert source.url.startswith("https://")
        assert source.licence
        assert source.citation in str(source)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: datasets.gowalla("all"), 'gowalla: split is \'all\', expected "train" or "test"'),
        (lambda: datasets.dlmc("x"), "dlmc: name is 'x', expected one of: rn50_mag0"),
        (lambda: datasets.sessions("x"), "sessions: name is 'x', expected one of: s3rec_Beauty, s3rec_Toys"),
        (lambda: datasets.suitesparse("x"), "suitesparse: name is 'x', expected one of: .*bcsstk13"),
        (lambda: datasets.names("x"), "names: kind is 'x', expected one of: movielens, gowalla"),
        (lambda: datasets.about("x"), "about: 'x' is no real set, expected one of: ml-latest-small"),
    ],
)
def test_refusals(call, message, folders):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_real_files_where_they_are():
    folder = settings().data_dir
    if folder is None or not (folder / "recsys").is_dir():
        pytest.skip("DEEPGEMM_DATA_DIR has no recommender data")
    assert (datasets.movielens().shape, datasets.movielens().nnz) == ((671, 9066), 100_004)
    assert (datasets.gowalla().shape, datasets.gowalla().nnz) == ((29_858, 40_981), 810_128)
    assert datasets.gowalla("test").nnz == 217_242
    assert (len(datasets.sessions()), datasets.sessions().total) == (22_363, 198_502)
    assert datasets.dlmc("rn50_mag0.9_final_dense").nnz == 204_800
    assert datasets.suitesparse("bcsstk13").nnz == 83_883
