"""The PID recipes do what they are for; and the synthetic set is drawn as it says."""

import math

import numpy as np
import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.tasks.synthetic import TwoGaussians

SEEDS = range(3)


def last(e, out):
    return fl.run(e, out=out, progress=False).history.iloc[-1]


def is_unique(r):
    assert r["unique"] > 10 * (r["redundant"] + r["masked"])
    assert r["redundant"] + r["masked"] <= r["redundant_hi"] + r["masked_hi"] and r["unique"] > r["unique_hi"]
    assert r["local_disparity"] == pytest.approx(r["global_disparity"], rel=0.1)


def is_redundant(r):
    assert r["redundant"] > 1.5 * (r["unique"] + r["masked"]) and r["redundant"] > r["redundant_hi"]
    assert r["unique"] <= max(r["unique_hi"], 0.001)
    assert r["global_disparity"] > 1.5 * r["local_disparity"]


def is_masked(r):
    assert r["masked"] > 1.5 * (r["unique"] + r["redundant"]) and r["masked"] > r["masked_hi"]
    assert r["local_disparity"] > 2 * r["global_disparity"]


EFFECT = {"pid-iid": is_unique, "pid-sex-skew": is_redundant, "pid-masked": is_masked, "pid-synthetic": is_unique}
ON_ADULT = ("pid-iid", "pid-sex-skew", "pid-masked")


@pytest.mark.parametrize("name", EFFECT)
def test_a_few_rounds_show_the_effect(name, tmp_path):
    EFFECT[name](last(fl.recipe(name).changed(rounds=8), tmp_path / "run"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_ADULT)
def test_the_effect_as_the_recipe_stands(name, tmp_path):
    for seed in SEEDS:
        r = last(fl.recipe(name).changed(seed=seed), tmp_path / f"{seed}")
        EFFECT[name](r)
        assert r["accuracy"] > 0.84   # always giving the commonest answer scores 0.764


def test_the_synthetic_splits(tmp_path):
    """The label is the group nineteen times in twenty, so that a model as good as this has a large disparity."""
    e = fl.recipe("pid-synthetic")
    for seed in SEEDS:
        alike, skew, masked = (last(e.changed(partition=p, seed=seed), tmp_path / f"{p.name}-{seed}") for p in
                               (e.partition, fl.ByGroup(clients=2, skew=0.92), fl.Masked(clients=2)))
        is_unique(alike)
        is_redundant(skew)
        assert alike["accuracy"] > 0.85 and alike["global_disparity"] > 0.25
        assert masked["masked"] > masked["masked_hi"] and masked["local_disparity"] > masked["global_disparity"]
        assert masked["unique"] > masked["masked"]   # label and group hardly ever differ: there is little to mask


def test_the_recipes_differ_in_the_split_alone():
    first = fl.recipe("pid-iid")
    for name in ON_ADULT[1:]:
        e = fl.recipe(name)
        assert e.changed(name=first.name, partition=first.partition) == first and e.partition.clients == 2


# --- the synthetic set ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data():
    return TwoGaussians(rows=100_000).load()


def test_means_and_covariances(data):
    for label, mean, covariance in ((0, [-2, -2], [[10, 1], [1, 3]]), (1, [2, 2], [[5, 1], [1, 5]])):
        x = data.x[data.y == label].double()
        assert len(x) > 30_000
        # Standard errors: of a mean below sqrt(10 / 30,000) = .018, of a variance below 10 sqrt(2 / 30,000) = .082.
        torch.testing.assert_close(x.mean(0), torch.tensor(mean).double(), atol=0.08, rtol=0)
        torch.testing.assert_close(x.T.cov(), torch.tensor(covariance).double(), atol=0.35, rtol=0)


def test_the_label_tells_the_group_by_hand(data):
    """I(Z; Y) of fair bits that agree 95 times in 100: 1 - h(.05) = 1 - .286397 = .713603 bits."""
    y, z = (torch.cat(pair).numpy() for pair in ((data.y, data.test_y), (data.group, data.test_group)))
    assert len(y) == 100_000 and y.sum() == 50_000 and len(data.test_y) == 30_000
    assert abs((y == z).mean() - 0.95) < 0.003   # standard error .0007
    table = np.bincount(2 * z + y, minlength=4).reshape(2, 2, 1)
    h = -sum(p * math.log2(p) for p in (0.05, 0.95))
    assert 1 - h == pytest.approx(0.713603, abs=1e-6)
    assert fl.decompose(table).global_disparity == pytest.approx(1 - h, abs=0.02)


def test_seeds_and_agreement():
    small = TwoGaussians(rows=200)
    assert torch.equal(small.load().x, TwoGaussians(rows=200).load().x)
    assert not torch.equal(small.load().x, TwoGaussians(rows=200, seed=1).load().x)
    for agree in (0.0, 1.0):
        data = TwoGaussians(rows=200, agree=agree).load()
        assert bool(((data.group == data.y) == bool(agree)).all())
    assert (data.labels, data.groups, data.favourable, data.x.dtype) == (("0", "1"), ("A", "B"), 1, torch.float32)
    # The points do not depend on how often group and label agree.
    assert torch.equal(data.x, small.load().x)


@pytest.mark.parametrize("field, value", [("rows", 39), ("agree", 1.1), ("seed", -1)])
def test_bad_fields(field, value):
    with pytest.raises(fl.BadInput, match=field):
        TwoGaussians(**{field: value})
