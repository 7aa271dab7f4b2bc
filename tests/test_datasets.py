"""The data sets and their cards: shapes, ranges, known numbers; the registry and the README say the same.

The downloaded sets are tested where their files are at hand, in the data folder or beside the repository; no
test fetches them. How a download goes wrong is the matter of `test_downloads.py`.
"""

import gzip
import hashlib
import os
import re
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from gennet import __main__ as command_line
from gennet import datasets
from gennet.datasets import download, readers

ROOT = Path(__file__).resolve().parent.parent
AT_HAND = [name for name in datasets.names() if not datasets.card(name).packings]
DOWNLOADED = [name for name in datasets.names() if datasets.card(name).packings]


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch):
    """Load a downloaded set if its files are at hand; else skip."""

    def load(name: str) -> datasets.Dataset:
        beside = ROOT.parent / "shared/data"
        if "GENNET_DATA" not in os.environ and beside.exists():
            monkeypatch.setenv("GENNET_DATA", str(beside))
        if not download.locate(datasets.card(name)):
            pytest.skip(
                f"the files of {name} are not in {download.folder()}: name their folder in GENNET_DATA"
            )
        return datasets.load(name)

    return load


# The sets that need no network


@pytest.mark.parametrize("name", AT_HAND)
def test_set_fits_its_card(name: str):
    data = datasets.load(name)
    assert data.card is datasets.card(name)
    assert data.x.shape == data.card.shape
    assert data.x.dtype == (np.float32 if data.x.ndim == 3 else np.float64)
    assert data.x.flags.c_contiguous and data.x.flags.writeable, "torch.from_numpy takes it as it is"
    if data.y is not None:
        assert data.y.dtype == np.int64
        assert np.bincount(data.y).min() > 0 and len(np.bincount(data.y)) == len(data.class_names)
    assert len(data.feature_names) in (0, data.x.shape[1])
    assert len(data.row_names) in (0, len(data.x))


def test_digits_are_upright_and_complete():
    data = datasets.load("digits")
    assert np.bincount(data.y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert set(np.unique(data.x * 16)) == set(range(17))
    zero = data.x[data.y == 0].mean(axis=0)
    assert zero[3:5, 3:5].mean() < 0.1 < zero[3:5, [2, 5]].mean(), "a zero is hollow"


def test_faces_are_told_from_background():
    data = datasets.load("faces")
    assert data.class_names == ("not a face", "face")
    assert data.y.tolist() == [1] * 100 + [0] * 100
    forehead, eyes = (
        (slice(None), slice(1, 5), slice(8, 15)),
        (slice(None), slice(7, 9), [5, 6, 7, 14, 15, 16]),
    )
    contrast = data.x[forehead].mean(axis=(1, 2)) - data.x[eyes].mean(axis=(1, 2))
    assert contrast[data.y == 1].mean() > 0.1 > contrast[data.y == 0].mean(), "eyes are darker than foreheads"


def test_usarrests_is_the_table_of_r():
    data = datasets.load("usarrests")
    assert data.feature_names == ("Murder", "Assault", "UrbanPop", "Rape")
    assert dict(zip(data.row_names, data.x.tolist(), strict=True))["Maryland"] == [11.3, 300, 67, 27.8]
    assert len(set(data.row_names)) == 50
    # mean and standard deviation of each column, as R prints them
    np.testing.assert_allclose(data.x.mean(axis=0), [7.788, 170.76, 65.54, 21.232], rtol=1e-12)
    np.testing.assert_allclose(
        data.x.std(axis=0, ddof=1), [4.355510, 83.337661, 14.474763, 9.366385], rtol=1e-6
    )


def test_synthetic_faces_are_forty_people():
    data = datasets.load("synthetic_faces")
    assert np.bincount(data.y).tolist() == [10] * 40
    np.testing.assert_array_equal(data.x, datasets.load("synthetic_faces").x)


def test_ratings_are_incomplete_and_their_users_grouped():
    data = datasets.load("ratings")
    rated = ~np.isnan(data.x)
    assert set(np.unique(data.x[rated])) == set(np.arange(0.5, 5.5, 0.5))
    assert abs(rated.mean() - 0.1) < 0.01
    truth = datasets.ratings.ratings()
    np.testing.assert_array_equal(data.x, truth.observed)
    np.testing.assert_array_equal(data.y, truth.user_group)


# The downloaded sets, where their files are at hand

DIGITS_TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
DIGITS_TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_mnist(real):
    data = real("mnist")
    assert data.x.dtype == np.float32 and data.x.shape == (70000, 28, 28)
    train, test = data.split("train"), data.split("test")
    assert np.bincount(train.y).tolist() == DIGITS_TRAIN
    assert np.bincount(test.y).tolist() == DIGITS_TEST
    assert round(float(train.x.mean(dtype=float)), 4) == 0.1307
    assert round(float(train.x.std(dtype=float)), 4) == 0.3081


def test_fashion_mnist(real):
    data = real("fashion_mnist")
    train, test = data.split("train"), data.split("test")
    assert np.bincount(train.y).tolist() == [6000] * 10
    assert np.bincount(test.y).tolist() == [1000] * 10
    assert round(float(train.x.mean(dtype=float)), 4) == 0.2860
    assert round(float(train.x.std(dtype=float)), 4) == 0.3530
    assert data.class_names[9] == "ankle boot"


def test_binarized_mnist(real):
    data = real("binarized_mnist")
    assert data.y is None and set(np.unique(data.x)) == {0, 1}
    means = [round(float(data.split(part).x.mean(dtype=float)), 5) for part in ("train", "valid", "test")]
    assert means == [0.13056, 0.13113, 0.13251]


def test_binarized_mnist_is_what_its_publisher_published(real):
    """The text form, rebuilt from whatever packing is at hand, has the checksums of the publisher's files."""
    data = real("binarized_mnist")
    for part, text in zip(data.splits, datasets.card("binarized_mnist").packings[-1], strict=True):
        lines = np.full((len(data.split(part).x), 2 * 784), ord(" "), np.uint8)
        lines[:, ::2] = data.split(part).x.reshape(-1, 784) + ord("0")
        lines[:, -1] = ord("\n")
        assert lines.size == text.bytes
        assert hashlib.sha256(lines).hexdigest() == text.sha256


def test_olivetti(real):
    data = real("olivetti")
    assert np.bincount(data.y).tolist() == [10] * 40
    assert round(float(data.x.max()) * 255) == 242 and data.x.min() == 0
    upright = data.x.mean(axis=0)
    assert np.corrcoef(upright.ravel(), upright[:, ::-1].ravel())[0, 1] > 0.9, "a mean face is symmetric"
    assert np.corrcoef(upright.ravel(), upright[::-1].ravel())[0, 1] < 0.5


def test_movielens(real):
    data = real("movielens")
    rated = ~np.isnan(data.x)
    assert rated.sum() == 100_836 and len(data.row_names) == 610
    assert rated.any(axis=0).all() and rated.sum(axis=1).min() == 20
    assert set(np.unique(data.x[rated])) == set(np.arange(0.5, 5.5, 0.5))
    assert data.x[0, data.feature_names.index("Toy Story (1995)")] == 4
    assert round(float(np.nanmean(data.x)), 6) == 3.501557


# Dataset and card


def test_split_takes_rows_of_everything():
    card = datasets.card("usarrests")
    data = datasets.Dataset(
        name="a",
        x=np.arange(12.0).reshape(4, 3),
        card=card,
        y=np.arange(4),
        row_names=tuple("abcd"),
        splits={"train": slice(0, 3), "test": slice(3, 4)},
    )
    test = data.split("test")
    assert (test.x.tolist(), test.y.tolist(), test.row_names, test.name) == (
        [[9, 10, 11]],
        [3],
        ("d",),
        "a/test",
    )
    assert np.shares_memory(test.x, data.x)
    with pytest.raises(ValueError, match=r"a has no part 'valid': it has only train, test\."):
        data.split("valid")
    with pytest.raises(
        ValueError, match=r"a/test has no part 'test': it has no parts; choose rows yourself\."
    ):
        test.split("test")


def test_repr_shows_no_arrays():
    data = datasets.load("faces")
    assert repr(data) == (
        "<Dataset faces: x (200, 25, 25) float32, y (200,) in 2 classes; shipped, "
        "licence: none found; for research>"
    )


def test_unknown_name_gets_the_nearest():
    with pytest.raises(
        ValueError, match=r"^There is no data set 'mnits'\. Did you mean mnist\? The data sets are"
    ):
        datasets.load("mnits")
    with pytest.raises(
        ValueError, match=r"^There is no data set 'imagenet'\. The data sets are: digits, faces,"
    ):
        datasets.load("imagenet")


@pytest.mark.parametrize("name", datasets.names())
def test_card_is_complete(name: str):
    card = datasets.card(name)
    assert card.kind in ("shipped", "generated", "downloaded")
    assert (card.kind == "downloaded") == bool(card.packings) == bool(card.bytes)
    assert (card.kind == "generated") != bool(card.homepage and card.citation)
    assert card.description and card.publisher and card.licence and card.terms and card.where
    assert max(map(len, str(card).splitlines())) <= 100 or "http" in str(card)
    ends = [0, *(end for _, end in card.splits.values())]
    assert [start for start, _ in card.splits.values()] == ends[:-1], "parts follow one another"
    assert ends[-1] in (0, card.shape[0])


@pytest.mark.parametrize("name", DOWNLOADED)
def test_sources_are_complete(name: str):
    card = datasets.card(name)
    assert card.meanwhile and set(card.meanwhile) <= set(AT_HAND), "what serves meanwhile needs no network"
    for packing in card.packings:
        for file in packing:
            assert re.fullmatch("[0-9a-f]{64}", file.sha256) and file.bytes > 0
            assert Path(file.name).parent == Path(card.where)
            assert Path(file.name).suffix in (".gz", ".npz", ".mat", ".amat", ".zip"), "nothing is unpickled"
            assert len(set(file.urls)) == len(file.urls)
            for url in file.urls:
                assert re.match(r"https?://[\w.-]+/", url)
                if "github" in url or "jsdelivr" in url:
                    assert re.search(r"[/@][0-9a-f]{40}/", url), f"{url} names a branch, which may change"
    hosts = {url.split("/")[2] for packing in card.packings for file in packing for url in file.urls}
    assert len(hosts) >= 2


def test_readme_says_what_the_registry_says():
    readme = (ROOT / "data/README.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", readme, flags=re.MULTILINE | re.DOTALL))
    assert tuple(name for name in sections if name in datasets.names()) == datasets.names()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*)$", readme, flags=re.MULTILINE))
    for name in datasets.names():
        card, words = datasets.card(name), " ".join(sections[name].split())
        assert f"Licence: {card.licence}." in words, name
        assert card.homepage in words, name
        assert f"{card.shape[0]:,}" in rows[name], name
        assert f"{card.bytes / 1e6:.1f} MB" in rows[name] or not card.bytes, name
        files = [file for packing in card.packings for file in packing]
        assert re.findall(r"\| `(\S+)` \| ([\d,]+) \|", words) == [(f.name, f"{f.bytes:,}") for f in files]


# Formats


def test_idx_with_another_beginning_or_length(tmp_path: Path):
    good = b"\0\0\x08\x02" + (2).to_bytes(4, "big") + (3).to_bytes(4, "big") + bytes(range(6))
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(good))
    assert readers.read_idx(path).tolist() == [[0, 1, 2], [3, 4, 5]]
    for content, said in [
        (b"\0\0\x0d" + good[3:], "begins with 00 00 0d 02, expected 00 00 08"),
        (b"<html>", "begins with 3c 68 74 6d, expected 00 00 08"),
        (b"", "begins with nothing"),
        (good[:9], "begins with 00 00 08 02"),
        (good[:-1], "expected 2 x 3 bytes after the header, got 5"),
        (good + b"\0", "expected 2 x 3 bytes after the header, got 7"),
    ]:
        path.write_bytes(gzip.compress(content))
        with pytest.raises(datasets.DataError, match=said):
            readers.read_idx(path)


def test_packings_of_binary_mnist_are_read_alike(tmp_path: Path):
    parts = {part: np.random.default_rng(n).integers(0, 2, (n, 784), np.uint8) for part, n in
             (("train", 3), ("valid", 1), ("test", 2))}  # fmt: skip
    texts, matrices = [], []
    for part, values in parts.items():
        texts.append(tmp_path / f"{part}.amat")
        np.savetxt(texts[-1], values, fmt="%d")
        matrices.append(tmp_path / f"{part}.mat")
        savemat(matrices[-1], {"X": values})
    np.savez(tmp_path / "all.npz", **parts)
    read = [readers.binarized_mnist(*files)["x"] for files in (texts, matrices, [tmp_path / "all.npz"])]
    np.testing.assert_array_equal(read[0].reshape(6, 784), np.concatenate(list(parts.values())))
    np.testing.assert_array_equal(read[0], read[1])
    np.testing.assert_array_equal(read[0], read[2])


@pytest.mark.parametrize(
    ("old", "new"), [(b"0 ", b"2 "), (b"0 ", b"0,"), (b"\n", b" "), (b"\n", b"\r\n"), (b"0 ", b"/ ")]
)
def test_text_of_another_form_is_refused(tmp_path: Path, old: bytes, new: bytes):
    path = tmp_path / "a.amat"
    np.savetxt(path, np.eye(2, 784), fmt="%d")
    assert readers.read_amat(path).sum() == 2
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(datasets.DataError, match="expected lines of 784 digits 0 or 1"):
        readers.read_amat(path)


def test_packings_of_the_olivetti_faces_are_read_alike(tmp_path: Path):
    images = np.random.default_rng(0).integers(0, 256, (20, 64, 64), np.uint8)
    lying = images.transpose(0, 2, 1).reshape(20, 4096)
    savemat(tmp_path / "columns.mat", {"faces": lying.T})
    savemat(tmp_path / "rows.mat", {"X": lying})
    np.savez(tmp_path / "upright.npz", images=images)
    for name in ("columns.mat", "rows.mat", "upright.npz"):
        fields = readers.olivetti(tmp_path / name)
        np.testing.assert_array_equal(fields["x"], images.astype(np.float32) / 255)
        assert fields["y"].tolist() == [0] * 10 + [1] * 10


def test_pickle_is_refused(tmp_path: Path):
    np.savez(tmp_path / "a.npz", images=np.array([{"a": 1}]))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        readers.olivetti(tmp_path / "a.npz")


def test_array_that_does_not_fit_the_card_is_refused(monkeypatch: pytest.MonkeyPatch):
    for fields, said in [
        (
            {"x": np.zeros((199, 25, 25))},
            r"read an array of shape \(199, 25, 25\), its card says \(200, 25, 25\)",
        ),
        ({"x": np.full((200, 25, 25), 2.0)}, r"pixels lie in \[2.0, 2.0\], expected \[0, 1\]"),
        ({"x": np.full((200, 25, 25), np.nan)}, r"expected \[0, 1\]"),
        (
            {"x": np.zeros((200, 25, 25)), "y": np.arange(200)},
            "200 labels from 0 to 199 do not fit 200 rows",
        ),
        ({"x": np.zeros((200, 25, 25)), "y": np.zeros(3, int)}, "3 labels from 0 to 0 do not fit 200 rows"),
    ]:
        monkeypatch.setitem(readers.READERS, "faces", lambda fields=fields: fields)
        with pytest.raises(datasets.DataError, match=said):
            datasets.load("faces")


# The command line


def test_command_lists_the_sets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
):
    monkeypatch.setenv("GENNET_DATA", str(tmp_path))
    (tmp_path / "orl_faces").mkdir()
    (tmp_path / "orl_faces/olivettifaces.mat").write_bytes(b"not a face")
    assert command_line.main(["data"]) == 0
    output = capsys.readouterr().out
    lines = output.splitlines()
    assert max(map(len, lines[:-1])) <= 100
    assert tuple(line.split()[0] for line in lines[1:-2]) == datasets.names()
    here = {line.split()[0]: line.split()[2] for line in lines[1:-2]}
    assert here == {
        name: "damaged" if name == "olivetti" else "yes" if name in AT_HAND else "no"
        for name in datasets.names()
    }
    assert lines[-1] == f"Data folder: {tmp_path}"


def test_command_knows_what_needs_no_download(capsys: pytest.CaptureFixture):
    assert command_line.main(["data", "digits", "usarrests"]) == 0
    assert capsys.readouterr().out == "digits: inside scikit-learn\nusarrests: inside this package\n"


def test_command_refuses_unknown_names_before_anything_else(capsys: pytest.CaptureFixture):
    assert command_line.main(["data", "digits", "fashion_minst"]) == 2
    output, error = capsys.readouterr()
    assert output == ""
    assert (
        error.startswith("There is no data set 'fashion_minst'. Did you mean fashion_mnist")
        and error.count("\n") == 1
    )


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "gennet", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_command_without_a_network(tmp_path: Path):
    """All addresses of the real registry fail behind a proxy that is not there: one sentence for each set."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{probe.getsockname()[1]}"
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    blocked = dict.fromkeys(names, proxy) | {"no_proxy": "", "NO_PROXY": "", "GENNET_DATA": str(tmp_path)}
    done = run("data", "--all", **blocked)
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == AT_HAND
    sentences = done.stderr.splitlines()
    assert [line.split()[3] for line in sentences] == DOWNLOADED
    assert all("the proxy cannot be reached" in line and "needs no network." in line for line in sentences)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_command_that_is_none():
    done = run()
    assert done.returncode == 2 and "COMMAND" in done.stderr and "Traceback" not in done.stderr


# Where the folder `data` of the repository is found


def test_wheel_carries_the_folder(tmp_path: Path):
    """Build a wheel, unpack it elsewhere and load from there."""
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = (
        "from gennet import datasets\nfrom gennet.datasets import registry\n"
        "print(registry.shipped('registry.toml'), datasets.load('usarrests').x.sum())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{tmp_path / 'site/gennet/data/registry.toml'} 13266.0\n", done.stderr
