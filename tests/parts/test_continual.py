"""Publishing running sums: errors of mechanisms against the reference, and the price of the largest of several."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fedlab_widgets import seeds
from fedlab_widgets.privatise.continual import (
    best_interval,
    max_sum_by_trees,
    max_sum_recomputed,
    nearly_tied,
    noise,
    prefix_sums,
)
from fedlab_widgets.privatise.prefix import draws, increment, sensitivities, toeplitz, variances

ROWS = json.loads((Path(__file__).parents[1] / "oracles" / "privacy.json").read_text())[
    "prefix_sum_mechanisms_single_participation"]["rows"]
NAMES = {"fresh": "fresh_noise_on_every_prefix", "records": "noise_at_every_step", "tree": "binary_tree",
         "honaker": "binary_tree_honaker_online", "sqrt": "sqrt_toeplitz"}


def keys(n, purpose="stream"):
    return seeds.keys(3, purpose, 0, torch.arange(n))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"T={row['steps']}")
@pytest.mark.parametrize("mechanism", ["tree", "honaker", "sqrt"])
def test_sensitivity_and_error_are_those_of_the_reference(row, mechanism):
    due, T = row[NAMES[mechanism]], row["steps"]
    moved, variance = sensitivities(mechanism, T, T)[-1], variances(mechanism, T)
    assert moved == pytest.approx(due["sensitivity"], rel=1e-9)
    assert moved * variance.max() ** 0.5 == pytest.approx(due["max_error_std"], rel=1e-9)
    assert moved * variance.mean() ** 0.5 == pytest.approx(due["rms_error_std"], rel=1e-9)


def measured(mechanism, steps, repeats):
    """The root mean square error over steps and repetitions, on one stream of coins of 0.3."""
    stream = (seeds.uniforms(keys(1, "coins")[0], steps, torch.float64) < 0.3).double()[:, None]
    return float((prefix_sums(stream, mechanism, 1.0, keys(repeats)) - stream.cumsum(0)).square().mean().sqrt())


def test_errors_on_a_stream_grow_as_the_reference_says():
    """The integral of B^2 over [0, 1] has mean 1/2 and variance 1/3: the mean square error of
    "records" over R repetitions deviates by sqrt(4 / 3 / R) of itself, so its root with 300 by 3.3 %."""
    sizes = [row["steps"] for row in ROWS if row["steps"] in (256, 1024, 4096)]
    slopes = {}
    for mechanism, name in NAMES.items():
        found = [measured(mechanism, T, 300 if mechanism == "records" else 30) for T in sizes]
        due = [row[name]["rms_error_std"] for row in ROWS if row["steps"] in sizes]
        assert found == pytest.approx(due, rel=0.15), mechanism
        slopes[mechanism] = np.polyfit(np.log(sizes), np.log(found), 1)[0]
    assert abs(slopes["fresh"] - 0.5) < 0.03 and abs(slopes["records"] - 0.5) < 0.06
    assert max(slopes["tree"], slopes["honaker"], slopes["sqrt"]) < 0.2


def test_noise_on_three_sums_worked_out():
    """T = 3. Tree: N = (Z_1, Z_12, Z_12 + Z_3). Honaker: V_12 = Z_12 + (Z_1 + Z_2) / 2, over 2 - 1/2. Square root:
    N_3 = 3/8 Z_1 + 1/2 Z_2 + Z_3. One record is in two nodes: sqrt(2); |c|^2 = 1 + 1/4 + 9/64."""
    key = keys(1)
    low = draws(key, 0, torch.arange(1, 4), 1, torch.float64)[0, :, 0]
    pair = draws(key, 1, torch.tensor([2]), 1, torch.float64)[0, 0, 0]
    both = (pair + (low[0] + low[1]) / 2) / 1.5
    due = {"tree": (2**0.5, [low[0], pair, pair + low[2]]), "honaker": (2**0.5, [low[0], both, both + low[2]]),
           "sqrt": ((1 + 1 / 4 + 9 / 64) ** 0.5, [low[0], low[0] / 2 + low[1], low[0] * 3 / 8 + low[1] / 2 + low[2]])}
    for mechanism, (moved, sums) in due.items():
        assert noise(mechanism, 3, 1, key)[0, :, 0].tolist() == pytest.approx([float(moved * n) for n in sums])


@pytest.mark.parametrize("mechanism", ["tree", "honaker", "sqrt"])
def test_increments_add_up_to_the_noise_on_prefixes(mechanism):
    key, steps = keys(1), 37
    whole = noise(mechanism, steps, 5, key)[0] / sensitivities(mechanism, steps, steps)[-1]
    added = torch.stack([increment(mechanism, t, key[0], 5, torch.float64) for t in range(1, steps + 1)]).cumsum(0)
    assert float((added - whole).abs().max()) < 1e-12 and float(whole.abs().min()) > 0


def matrix(mechanism, T):
    """C of the mechanism, by hand: Toeplitz, or a row a node (of all complete ones, or of those that prefixes add)."""
    if mechanism == "sqrt":
        return np.array([[toeplitz(T)[i - j] if i >= j else 0.0 for j in range(T)] for i in range(T)])
    found = []
    for level in range(T.bit_length()):
        for i in range(T >> level):
            if mechanism == "honaker" or i % 2 == 0:
                found.append([float(i << level <= t < (i + 1) << level) for t in range(T)])
    return np.array(found)


@pytest.mark.parametrize("mechanism", ["tree", "honaker", "sqrt"])
def test_sensitivity_of_clients_that_come_again(mechanism):
    # By definition: |C u| for u = 1 where a client comes, the largest over clients; after t rounds those of t rounds.
    for T, b in ((4, 2), (16, 1), (23, 5), (20, 7), (9, 40)):
        due = max(np.linalg.norm(matrix(mechanism, T)[:, p::b].sum(1)) for p in range(min(b, T)))
        found = sensitivities(mechanism, T, b)
        assert found[-1] == pytest.approx(due, rel=1e-12)
        assert (np.diff(found) >= -1e-12).all()
        for t in (1, T // 2, T - 1):
            due = max(np.linalg.norm(matrix(mechanism, t)[:, p::b].sum(1)) for p in range(min(b, t)))
            assert found[t - 1] == pytest.approx(due, rel=1e-12)
    # T = 4, b = 2, rounds 1 and 3. Tree: 1 + 1 + 1 + 2^2 = 7; all nodes: 2 + 2 + 4 = 8; c + its shift by 2:
    # 1 + 1/4 + (11/8)^2 + (13/16)^2.
    due = {"tree": 7, "honaker": 8, "sqrt": 1 + 1 / 4 + (11 / 8) ** 2 + (13 / 16) ** 2}[mechanism]
    assert sensitivities(mechanism, 4, 2)[-1] ** 2 == pytest.approx(due)


def price(T, repeats):
    """The largest error of recomputation where the largest sum moves as much as it can."""
    top = torch.arange(1, T + 1, dtype=torch.float64)
    return float((max_sum_recomputed(top, 0.5, keys(repeats)) - top).abs().amax(1).mean())


@pytest.mark.slow
def test_the_largest_of_several_sums_costs_a_cube_root():
    """Experiment B. The error is r + a sqrt(T / r) at r = (a/2)^(2/3) T^(1/3): a slope of 1/3, and a little more: the
    largest noise of more releases is larger. A single counter pays a logarithm: h = floor(log2 T) + 1 nodes, half of
    the digits set, so sqrt(h h / 2) is twice as much at 10^6 (h = 20) as at 10^3 (h = 10)."""
    assert best_interval(1000, 0.5, 2.0) == 10 and best_interval(10**6, 0.5, 2.0) == 100
    sizes = [10**3, 10**4, 10**5, 10**6]
    found = [price(T, repeats) for T, repeats in zip(sizes, (400, 200, 40, 8), strict=True)]
    assert 0.28 < np.polyfit(np.log(sizes), np.log(found), 1)[0] < 0.38
    one = [float(noise("tree", T, 1, keys(12)).square().mean().sqrt()) for T in (sizes[0], sizes[-1])]
    assert one[1] == pytest.approx(2 * one[0], rel=0.15) and found[-1] > 10 * found[0]
    # The slope alone, without the logarithm: the deviation of what is held, r + a sigma, is exactly a cube root.
    bound = [r + 5 * (T // r / 1.0) ** 0.5 for T in sizes for r in [best_interval(T, 0.5)]]
    assert np.polyfit(np.log(sizes), np.log(bound), 1)[0] == pytest.approx(1 / 3, abs=0.005)


def test_trees_win_for_few_columns_and_recomputation_for_many():
    def trees(T, d, repeats, dtype=torch.float64):
        stream = nearly_tied(T, d, dtype)
        return float((max_sum_by_trees(stream, 0.5, keys(repeats)) - stream.cumsum(0).amax(1)).abs().amax(1).mean())

    assert trees(40_000, 4, 4) < 0.8 * price(40_000, 20)
    assert trees(500, 4000, 1, torch.float32) > 10 * price(500, 20)


def test_an_unknown_mechanism_is_refused():
    with pytest.raises(ValueError, match="none of fresh, records, tree, honaker, sqrt"):
        noise("wavelet", 4, 1, keys(1))
