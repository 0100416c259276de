"""The synthetic recipes by group and by label and group show what their file says, no more and no less."""

import pytest

import fedlab_widgets as fl


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    names = ("pid-synthetic", "pid-synthetic-skew", "pid-synthetic-masked")
    return {name: [fl.run(fl.recipe(name).changed(seed=seed), out=tmp_path_factory.mktemp("runs") / "run",
                          progress=False).history.iloc[-1] for seed in range(3)] for name in names}


def test_they_differ_in_the_split_alone():
    first = fl.recipe("pid-synthetic")
    for name in ("pid-synthetic-skew", "pid-synthetic-masked"):
        e = fl.recipe(name)
        assert e.partition != first.partition and e.partition.clients == 2
        assert e.changed(name=first.name, partition=first.partition) == first


def test_by_group_all_that_is_global_is_redundant_and_the_rest_is_masked(ends):
    for r in ends["pid-synthetic-skew"]:
        assert r["redundant"] > 0.99 * r["global_disparity"] > 0.25 and r["redundant"] > r["redundant_hi"]
        assert r["masked"] > r["masked_hi"] and 0.2 < r["local_disparity"] / r["global_disparity"] < 0.5


def test_by_label_and_group_a_little_is_masked(ends):
    for alike, r in zip(ends["pid-synthetic"], ends["pid-synthetic-masked"], strict=True):
        assert r["masked"] > 2 * r["masked_hi"] and alike["masked"] <= alike["masked_hi"]
        assert r["unique"] > 5 * r["masked"] and r["unique"] == pytest.approx(alike["unique"], abs=0.05)
        assert 1.05 < r["local_disparity"] / r["global_disparity"] < 1.25
