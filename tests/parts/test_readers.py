"""The shipped data: known counts, official splits, withheld attributes, one sentence per damaged file."""

import re
import shutil

import numpy as np
import pytest

from fedlab_widgets.tasks import readers
from fedlab_widgets.tasks.readers import DataError, data_folder, read_adult, read_digits, read_mnist


@pytest.fixture(scope="module")
def adult():
    return read_adult("sex")


@pytest.fixture(scope="module")
def mnist():
    return read_mnist()


@pytest.fixture(scope="module")
def digits():
    return read_digits()


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the Adult files that a test may damage."""
    shutil.copytree(data_folder() / "adult", tmp_path / "data" / "adult")
    monkeypatch.setattr(readers, "_INSTALLED", tmp_path / "data")
    return tmp_path / "data" / "adult" / "adult.test.gz"


def test_adult_counts_are_the_published_ones(adult):
    counts = [[int(((adult.groups["sex"] == s) & (adult.y == y)).sum()) for y in (0, 1)] for s in (0, 1)]
    assert adult.group_values["sex"] == ("Female", "Male") and adult.labels == ("<=50K", ">50K")
    assert counts == [[14423, 1769], [22732, 9918]]
    assert adult.group_values["race"] == (
        "Amer-Indian-Eskimo",
        "Asian-Pac-Islander",
        "Black",
        "Other",
        "White",
    )
    assert np.bincount(adult.groups["race"]).tolist() == [470, 1519, 4685, 406, 41762]
    assert [int((~adult.test).sum()), int(adult.test.sum())] == [32561, 16281]
    assert [int(adult.y[~adult.test].sum()), int(adult.y[adult.test].sum())] == [7841, 3846]


def test_adult_shapes_and_types(adult):
    rows = 48842
    assert adult.x.shape == (rows, len(adult.features)) and adult.x.dtype == np.float32
    assert adult.y.shape == adult.test.shape == (rows,)
    assert adult.y.dtype == adult.groups["sex"].dtype == adult.groups["race"].dtype == np.int64
    assert len(set(adult.features)) == len(adult.features)


def test_adult_numbers_are_standardised_on_the_training_rows(adult):
    numeric = [i for i, name in enumerate(adult.features) if "=" not in name]
    assert [adult.features[i] for i in numeric] == [
        "age", "education-num", "capital-gain", "capital-loss", "hours-per-week",
    ]  # fmt: skip
    train = adult.x[~adult.test][:, numeric].astype(np.float64)
    np.testing.assert_allclose(train.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(0), 1, atol=1e-5)
    assert abs(adult.x[adult.test][:, numeric].mean()) > 1e-5
    assert adult.x[0, numeric[0]] < adult.x[1, numeric[0]]  # 39 and 50 years of age


def test_adult_categories_are_one_hot(adult):
    for name in ("workclass", "marital-status", "occupation", "relationship", "race", "native-country"):
        block = adult.x[:, [f.startswith(f"{name}=") for f in adult.features]]
        assert set(np.unique(block)) == {0, 1} and (block.sum(1) == 1).all()
    assert adult.x[:, adult.features.index("occupation=unknown")].sum() == 1843 + 966
    assert not any("?" in f for f in adult.features)


@pytest.mark.parametrize("sensitive, other", [("sex", "race"), ("race", "sex")])
def test_the_withheld_attribute_is_absent_and_the_other_stays(sensitive, other):
    withheld, whole = read_adult(sensitive), read_adult(sensitive, withhold=False)
    assert not any(f.startswith(f"{sensitive}=") for f in withheld.features)
    assert any(f.startswith(f"{other}=") for f in withheld.features)
    kept = [i for i, f in enumerate(whole.features) if not f.startswith(f"{sensitive}=")]
    assert withheld.features == tuple(whole.features[i] for i in kept)
    assert np.array_equal(withheld.x, whole.x[:, kept])
    assert len(whole.features) - len(kept) == len(whole.group_values[sensitive])
    indicator = whole.groups[sensitive] == 0
    assert not any(np.array_equal(column, indicator) for column in withheld.x.T)


def test_an_unknown_sensitive_attribute_is_refused():
    with pytest.raises(ValueError, match="one of sex, race, sex x race, age, not 'shoe'"):
        read_adult("shoe")


def test_mnist(mnist):
    assert mnist.x.shape == (70000, 1, 28, 28) and mnist.x.dtype == np.float32
    assert mnist.y.dtype == np.int64 and int(mnist.test.sum()) == 10000 and not mnist.test[:60000].any()
    train_counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.y[:60000]).tolist() == train_counts
    assert np.bincount(mnist.y[60000:]).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert mnist.y[:5].tolist() == [5, 0, 4, 1, 9]
    train = mnist.x[:60000]
    assert abs(train.mean(dtype=np.float64)) < 1e-3 and abs(train.std(dtype=np.float64) - 1) < 1e-3
    assert mnist.x.min() == pytest.approx(-0.1307 / 0.3081, abs=1e-6)
    assert mnist.x.max() == pytest.approx((1 - 0.1307) / 0.3081, abs=1e-6)


def test_digits(digits):
    assert digits.x.shape == (1797, 1, 8, 8) and digits.x.dtype == np.float32 and digits.y.dtype == np.int64
    share = [digits.test[digits.y == d].mean() for d in range(10)]
    assert int(digits.test.sum()) == 359 and max(abs(s - 0.2) for s in share) < 0.01
    train = digits.x[~digits.test]
    assert abs(train.mean()) < 1e-5 and abs(train.std() - 1) < 1e-5
    assert np.flatnonzero(digits.test)[:8].tolist() == [4, 5, 6, 9, 14, 17, 18, 19]
    assert np.array_equal(read_digits().test, digits.test)


def expect(problem, path):
    """The sentence: the file, what is wrong, the remedy, and no other exception behind it."""
    with pytest.raises(DataError, match=re.escape(str(path)) + ".*" + problem) as caught:
        read_adult()
    assert "git checkout" in str(caught.value) and "reinstall" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_missing_file(copied):
    copied.unlink()
    expect("No such file", copied)


def test_a_truncated_file(copied):
    copied.write_bytes(copied.read_bytes()[:-100])
    expect("205154 bytes instead of 205254", copied)


def test_a_corrupted_file(copied):
    content = bytearray(copied.read_bytes())
    content[1000] ^= 1
    copied.write_bytes(content)
    expect("is damaged", copied)


def test_an_unreadable_file(copied):
    copied.unlink()
    copied.mkdir()
    expect("cannot be read", copied)


def test_no_folder_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "_INSTALLED", tmp_path / "wheel")
    monkeypatch.setattr(readers, "_CHECKOUT", tmp_path / "checkout")
    with pytest.raises(DataError, match="neither .*wheel nor .*checkout is there; restore .* reinstall"):
        data_folder()


def test_the_installed_folder_comes_first(copied):
    assert data_folder() == copied.parents[1]


def test_damaged_digits(monkeypatch):
    def broken():
        raise EOFError("file ended early")

    monkeypatch.setattr("sklearn.datasets.load_digits", broken)
    with pytest.raises(DataError, match="digits .file ended early.; reinstall scikit-learn"):
        read_digits()


def test_sources_lists_the_checksums_that_are_checked():
    sources = (data_folder() / "SOURCES.md").read_text()
    for name, (_, checksum) in readers._FILES.items():
        assert f"{checksum}  {name}" in sources


def test_sex_and_race_crossed_and_age_in_ranges():
    table = read_adult("sex x race")
    assert not any(f.startswith(("sex=", "race=")) for f in table.features) and "age" in table.features
    sex, race, both = (table.groups[name] for name in ("sex", "race", "sex x race"))
    names = table.group_values["sex x race"]
    assert names[int(both[0])] == "Male, White" and len(names) == 10     # the file's first person
    assert all(int((both == g).sum()) == int(((sex == g // 5) & (race == g % 5)).sum()) for g in range(10))
    aged = read_adult("age")
    assert "age" not in aged.features and len(aged.features) == len(table.features) + 2 + 5 - 1
    assert aged.group_values["age"][int(aged.groups["age"][0])] == "35 to 49"   # who is 39
    ages = read_adult("sex").x[:, 0]       # standardised: the order is that of the years
    ranges = [ages[aged.groups["age"] == g] for g in range(4)]
    assert all(a.max() < b.min() for a, b in zip(ranges, ranges[1:], strict=False))
