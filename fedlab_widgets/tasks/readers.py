"""Reads the data that ship with the package into plain NumPy arrays. Nothing is downloaded or cached.

`data/SOURCES.md` says where the files come from and under which licence.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np

from ..part import BadInput

_INSTALLED = Path(__file__).parents[1] / "data"
_CHECKOUT = Path(__file__).parents[2] / "data"
_REMEDY = "restore it from git (`git checkout -- data`) or reinstall fedlab-widgets"

_FILES = {  # bytes and SHA-256, as in data/SOURCES.md
    "adult/adult.data.gz": (408969, "c7a2b4716a97f930123e0baf879188d701e798172631a654fc703d4b082907f3"),
    "adult/adult.test.gz": (205254, "8a2c1bffa6e7ce5abfa43881ae5e87c4311ebc2b3cd526c9c40a43f19f06f799"),
    "mnist/train-images-idx3-ubyte.gz": (
        9719438,
        "0b367032e93c5d0cea0925647cfdb18614af8ee15f83e6f2fc2ad904a6835971",
    ),
    "mnist/train-labels-idx1-ubyte.gz": (
        28857,
        "1787548bbe0bff1ec2ecdc0ef292b02df999e2d1a6002d27500982c652b17203",
    ),
    "mnist/t10k-images-idx3-ubyte.gz": (
        1616508,
        "1a1a05eab793c14bb050b398624a11b0ffd1a2953baed553b1b9bd079e2a20be",
    ),
    "mnist/t10k-labels-idx1-ubyte.gz": (
        4517,
        "b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b",
    ),
    "austen/sense_sensibility.txt.gz": (
        245131,
        "b98e6534af4313bea0ac62ad565007aee27f8d8a4d2583d4000cf4bfc72ea205",
    ),
    "austen/pride_prejudice.txt.gz": (
        248657,
        "96c4f90d77b6be0fdea103138decbbf0ecd10b15eec26a5927c9fb459a90cc7e",
    ),
    "austen/mansfield_park.txt.gz": (
        324746,
        "84b7f4a6c606e833b5cebf68ce95bd60cd07193d09a2c51f0c7d8c41cb951909",
    ),
    "austen/emma.txt.gz": (324290, "20ec53e8cf90d81713c6c7cbd2622aebb147db64473eb11e6bce0d8e86c4cf74"),
    "austen/northanger_abbey.txt.gz": (
        161871,
        "a427a192cf42da0d6e4d51a4e0958883d8b07b0575699539d3d30e5bb050eb86",
    ),
    "austen/persuasion.txt.gz": (
        170876,
        "323619e3e69a7d09e9179d3ba22ff53196c2cbf01810ce0eefc929ff5398e2f1",
    ),
}

_ADULT = (
    "age workclass fnlwgt education education-num marital-status occupation relationship race sex "
    "capital-gain capital-loss hours-per-week native-country income"
).split()
_NUMERIC = {"age", "education-num", "capital-gain", "capital-loss", "hours-per-week"}
# fnlwgt weighs the row in a census sample and says nothing of the person; education repeats education-num.
_DROPPED = {"fnlwgt", "education", "income"}
_GROUPS = {"sex": ("sex",), "race": ("race",), "sex x race": ("sex", "race"), "age": ("age",)}   # and their columns
_AGES = (25, 35, 50)
_NOVELS = {   # in the order of publication
    "Sense and Sensibility": "austen/sense_sensibility.txt.gz",
    "Pride and Prejudice": "austen/pride_prejudice.txt.gz",
    "Mansfield Park": "austen/mansfield_park.txt.gz",
    "Emma": "austen/emma.txt.gz",
    "Northanger Abbey": "austen/northanger_abbey.txt.gz",
    "Persuasion": "austen/persuasion.txt.gz",
}
_CHAPTER = re.compile(r"^(?:CHAPTER|Chapter) (?:[IVXL]+|[0-9]+)$", re.M)
_NOT_HERS = re.compile(r"^(?:VOLUME [IVX]+|FINIS|Finis|THE END)$|^A NOTE ON THE TEXT$.*", re.M | re.S)


class DataError(BadInput):
    """A data file is missing or damaged: one sentence with the file, what is wrong and the remedy."""


@dataclass(frozen=True, eq=False)
class Table:
    """One data set in memory.

    x: float32 [rows, ...]. y: int64 [rows], an index into labels. test: bool [rows], true for the test rows.
    features: one name per column of x (none for images). groups: an attribute's name to int64 [rows], an
    index into group_values[name].
    """

    x: np.ndarray
    y: np.ndarray
    test: np.ndarray
    labels: tuple[str, ...]
    features: tuple[str, ...] = ()
    groups: dict[str, np.ndarray] = field(default_factory=dict)
    group_values: dict[str, tuple[str, ...]] = field(default_factory=dict)


def data_folder() -> Path:
    """Where the data lie: inside the installed package, else at the top of the checkout. Else DataError."""
    for folder in (_INSTALLED, _CHECKOUT):
        if folder.is_dir():
            return folder
    raise DataError(f"no data folder: neither {_INSTALLED} nor {_CHECKOUT} is there; {_REMEDY}")


def read_adult(sensitive: str = "sex", withhold: bool = True) -> Table:
    """UCI Adult, the official split: 32 561 training and 16 281 test rows of 1994 US census answers.

    y is 1 for an income above 50 000 dollars a year. Numbers are standardised with the mean and deviation of
    the training rows; categories are one-hot, as found in the training rows, with "?" as "unknown". `groups`
    always holds sex (0 Female, 1 Male), race (0 Amer-Indian-Eskimo, 1 Asian-Pac-Islander, 2 Black, 3 Other
    and 4 White), both crossed (sex x race: 10 groups) and age in ranges (below 25, 35, 50, and from 50).

    sensitive: one of these; withhold: leave that attribute's columns out of x. Other columns still tell of
    it: relationship has Husband and Wife. Raises ValueError for another attribute, DataError for a bad file.
    """
    if sensitive not in _GROUPS:
        raise ValueError(f"sensitive must be one of {', '.join(_GROUPS)}, not {sensitive!r}")
    train, test = _adult_fields("adult/adult.data.gz"), _adult_fields("adult/adult.test.gz", skip=1)   # a comment
    fields = train + test
    table = {name: fields[i::len(_ADULT)] for i, name in enumerate(_ADULT)}
    rows = len(train) // len(_ADULT)
    is_test = np.arange(len(table["income"])) >= rows

    blocks, features = [], []
    for name in _ADULT:
        if name in _DROPPED or (withhold and name in _GROUPS[sensitive]):
            continue
        if name in _NUMERIC:
            blocks.append(_standardised(np.array(list(map(float, table[name]))), is_test)[:, None])
            features.append(name)
        else:
            codes, values = _codes(table[name], rows)
            blocks.append(codes[:, None] == np.arange(len(values)))
            features += [f"{name}={value}" for value in values]
    groups = {name: _codes(table[name], rows) for name in ("sex", "race")}
    (sex, sexes), (race, races) = groups.values()
    groups["sex x race"] = sex * len(races) + race, tuple(f"{a}, {b}" for a in sexes for b in races)
    ranges = ("below 25", "25 to 34", "35 to 49", "50 and over")
    groups["age"] = np.searchsorted(_AGES, np.array(list(map(int, table["age"]))), side="right"), ranges
    return Table(
        x=np.concatenate(blocks, axis=1, dtype=np.float32),
        y=np.array([income.startswith(">50K") for income in table["income"]], dtype=np.int64),
        test=is_test,
        labels=("<=50K", ">50K"),
        features=tuple(features),
        groups={name: codes for name, (codes, _) in groups.items()},
        group_values={name: values for name, (_, values) in groups.items()},
    )


def read_mnist() -> Table:
    """MNIST, the official split: 60 000 training and 10 000 test images, x float32 [70000, 1, 28, 28].

    Grey values 0..1, then minus 0.1307 and over 0.3081, the training mean and deviation. x takes 220 MB, and
    57 MB more while it is read. Raises DataError for a bad file.
    """
    x = np.empty((70_000, 1, 28, 28), dtype=np.float32)
    x[:60_000, 0] = _idx("mnist/train-images-idx3-ubyte.gz")
    x[60_000:, 0] = _idx("mnist/t10k-images-idx3-ubyte.gz")
    x -= 255 * 0.1307
    x /= 255 * 0.3081
    y = np.concatenate([_idx(f"mnist/{part}-labels-idx1-ubyte.gz") for part in ("train", "t10k")])
    return Table(x, y.astype(np.int64), np.arange(70_000) >= 60_000, labels=tuple("0123456789"))


def read_digits() -> Table:
    """scikit-learn's 1 797 digits, x float32 [1797, 1, 8, 8], standardised on the training rows.

    One mean and one deviation serve all pixels. A fixed fifth of every digit is the test set. Raises
    DataError where scikit-learn cannot read its file.
    """
    try:
        from sklearn.datasets import load_digits

        digits = load_digits()
    except Exception as error:  # whatever scikit-learn, gzip or NumPy make of a damaged installation
        raise DataError(f"scikit-learn cannot read its digits ({error}); reinstall scikit-learn") from None
    test = np.zeros(len(digits.target), dtype=bool)
    order = np.random.RandomState(0).permutation(len(test))  # NumPy promises this stream never changes
    for digit in range(10):
        rows = order[digits.target[order] == digit]
        test[rows[: round(len(rows) / 5)]] = True
    x = _standardised(digits.images[:, None], test)
    return Table(x.astype(np.float32), digits.target.astype(np.int64), test, labels=tuple("0123456789"))


def read_austen() -> dict[str, tuple[str, ...]]:
    """Six novels of Jane Austen by title, in the order of publication: the texts of their chapters, 269 in all.

    Lines are joined into paragraphs, with a space for every run of blanks and a line break between paragraphs. Left out
    are headings of chapters and volumes, what stands before the first chapter, "Finis" and "The End", and the
    editor's note at the end of Northanger Abbey. Raises DataError for a bad file.
    """
    return {title: tuple(map(_paragraphs, _CHAPTER.split(_NOT_HERS.sub("", _read(name).decode()))[1:]))
            for title, name in _NOVELS.items()}


def _paragraphs(text: str) -> str:
    return "\n".join(" ".join(lines.split()) for lines in re.split(r"\n\s*\n", text.strip()))


def _adult_fields(name: str, skip: int = 0) -> list[str]:
    """All fields of a file one after another: cut at once, as 49 000 lines cut one by one cost a second."""
    lines = _read(name).decode().strip().split("\n", skip)[-1]
    return lines.replace("\n", ", ").split(", ")


def _codes(column: list[str], train: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """Each value's place [rows] among the sorted training values (-1: not there), and these values."""
    values = sorted(set(column[:train]))
    place = dict.fromkeys(set(column), -1) | {value: i for i, value in enumerate(values)}
    codes = np.fromiter(map(place.__getitem__, column), np.int64, len(column))
    return codes, tuple("unknown" if v == "?" else v for v in values)


def _standardised(values: np.ndarray, test: np.ndarray) -> np.ndarray:
    return (values - values[~test].mean()) / values[~test].std()


def _idx(name: str) -> np.ndarray:
    """An IDX file of bytes: two zeros, a type, the number of axes, their lengths (big-endian), the values."""
    raw = _read(name)
    shape = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def _read(name: str) -> bytes:
    """The unpacked content of a data file whose size and SHA-256 are right; DataError otherwise."""
    path, (size, checksum) = data_folder() / name, _FILES[name]
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {_REMEDY}") from None
    if len(packed) != size:
        raise DataError(f"{path} has {len(packed)} bytes instead of {size}; {_REMEDY}")
    if sha256(packed).hexdigest() != checksum:
        raise DataError(f"{path} is damaged: its SHA-256 is not the published one; {_REMEDY}")
    return gzip.decompress(packed)
