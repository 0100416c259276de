"""Derivatives of the parts of the disparity against finite differences, values by hand, kinks, and a real model."""

import doctest
import math

import numpy as np
import pytest
import torch

from fedlab_widgets.evaluate import pid_gradient
from fedlab_widgets.evaluate.pid_cone import atoms_binary
from fedlab_widgets.evaluate.pid_gradient import gradients, price, projected, steer

PARTS = ("global_disparity", "local_disparity", "unique", "redundant", "masked")


def tables(rng, Y, S, even, n=60):
    """Random tables [n, 2, Y, S] whose predictions follow the group more or less, so that Yhat often leads."""
    p = rng.dirichlet(np.full(2 * Y * S, even), n).reshape(n, 2, Y, S)
    tilt = rng.normal(size=(n, 1, 1, 1)) * np.linspace(-1, 1, Y)[:, None] * np.array([-1, 1])[:, None, None]
    p = p * np.exp(tilt)
    return p / p.sum((1, 2, 3), keepdims=True)


def slopes(p, u, h=1e-5):
    """{part: [B]}: what finite differences say when each cell grows by the share u of itself, and the gradient."""
    up, down, told = atoms_binary(p * (1 + h * u)), atoms_binary(p * (1 - h * u)), gradients(p)
    return {part: ((up[part] - down[part]) / (2 * h), (told[part] * p * u).sum((1, 2, 3))) for part in PARTS}


def one_sided(p, u, part, h=1e-6):
    """The derivatives of a part backwards and forwards along p u."""
    here, up, down = (atoms_binary(q[None])[part][0] for q in (p, p * (1 + h * u), p * (1 - h * u)))
    return (here - down) / h, (up - here) / h


# --- against finite differences: 480 tables, FL-like ones with 20 and 100 clients among them ------------


@pytest.mark.parametrize(("Y", "S", "even"), [(2, 2, 1), (3, 5, 0.5), (2, 1, 1), (10, 3, 1), (2, 20, 3), (5, 20, 0.3),
                                              (2, 100, 3), (5, 100, 0.3)])
def test_gradients_are_finite_differences(Y, S, even):
    rng = np.random.default_rng(Y * S)
    p = tables(rng, Y, S, even)
    u = rng.normal(size=p.shape)
    u -= (p * u).sum((1, 2, 3), keepdims=True)  # cells still sum to 1
    assert (atoms_binary(p)["unique"] > 1e-6).mean() > 0.3
    for part, (found, told) in slopes(p, u).items():
        np.testing.assert_allclose(told, found, atol=5e-8, err_msg=part)


@pytest.mark.parametrize("even", [0.02, 0.2, 2.0])
def test_each_part_is_the_sum_of_cells_times_slopes(even):
    # Every part is homogeneous of degree one in the cells, empty cells or not (Euler).
    p = tables(np.random.default_rng(5), 3, 10, even, 200)
    values, told = atoms_binary(p), gradients(p)
    for part in PARTS:
        np.testing.assert_allclose((p * told[part]).sum((1, 2, 3)), values[part], atol=1e-11, err_msg=part)


def test_a_batch_is_its_tables_one_by_one():
    p = tables(np.random.default_rng(6), 3, 4, 1.0, 10)
    whole = gradients(p)
    for i in range(10):
        alone = gradients(p[i:i + 1])
        assert all(np.array_equal(whole[part][i], alone[part][0]) for part in PARTS)


# --- by hand ----------------------------------------------------------------------------------------------


def test_one_case_by_hand():
    # P(Z=1) = 1/2. Clients: P(Z=1|s) = 1/4 and 3/4, half of the people each. Predictions: P(Z=1|yhat) = 1/3 for three
    # people in four, 1 for the others. Excesses: E_S = 1/2 - t up to 1/4, (3/4 - t)/2 up to 3/4, then 0; E_Y = 1/2 - t
    # up to 1/3, then (1 - t)/4. So E_Y > E_S from t = 1/2, where (1 - t)/4 = (3/4 - t)/2, to t = 1, and
    #   F_1(3/4) = log2(3/4 / 1/2) = log2 1.5,  F_1(1) = log2(1 / 1/2) = 1,  F_0(3/4) = log2(1/4 / 1/2) = -1,
    # F = 0 at 1/4 and 1/3. Nobody of group 0 gets prediction 1: F_0(1) = -infinity, kept at log2 of the floor.
    zy = np.array([[1 / 2, 0], [1 / 4, 1 / 4]])
    zs = np.array([[3 / 8, 1 / 8], [1 / 8, 3 / 8]])
    p = zy[:, :, None] * zs[:, None, :] / 0.5          # Yhat and S independent given Z
    a = math.log2(1.5)
    found = gradients(p[None])["unique"][0]
    np.testing.assert_allclose(found[1], [[0, -a], [1, 1 - a]], atol=1e-12)      # [yhat, s]
    np.testing.assert_allclose(found[0, 0], [0, 1], atol=1e-12)
    assert (found[0, 1] < -90).all() and np.isfinite(found).all()
    # Euler: unique = 1/4 * 1 - 3/8 * a + 1/8 * 1
    assert atoms_binary(p[None])["unique"][0] == pytest.approx(3 / 8 - 3 / 8 * a, abs=1e-12)


def test_global_and_local_by_hand():
    # Yhat = Z flipped one time in five, inside each of two clients: log2(.8/.5) where it agrees, log2(.2/.5) else.
    p = np.array([[[0.2, 0.2], [0.05, 0.05]], [[0.05, 0.05], [0.2, 0.2]]])
    yes, no = math.log2(1.6), math.log2(0.4)
    for part in ("global_disparity", "local_disparity", "unique"):
        found = gradients(p[None])[part][0]
        np.testing.assert_allclose(found, [[[yes, yes], [no, no]], [[no, no], [yes, yes]]], atol=1e-12)
    assert abs(gradients(p[None])["redundant"]).max() < 1e-12 and abs(gradients(p[None])["masked"]).max() < 1e-12


def test_unique_is_flat_where_no_prediction_lies_on_the_hull():
    # Clients know everything that predictions do: Yhat is S with errors.
    p = np.einsum("zs,ys->zys", [[0.45, 0.05], [0.05, 0.45]], [[0.9, 0.2], [0.1, 0.8]])
    assert atoms_binary(p[None])["unique"][0] == 0
    assert not gradients(p[None])["unique"].any()
    assert gradients(p[None])["redundant"].any()


# --- kinks, ties, holes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_at_a_kink_between_the_one_sided_derivatives(seed):
    # Yhat and S have the same posteriors: every bend of one lies on a bend of the other. Unique is 0 and can only grow.
    rng = np.random.default_rng(seed)
    zs = rng.dirichlet(np.ones(6)).reshape(2, 3)
    p = np.einsum("zy,zs->zys", zs, zs) / zs.sum(1)[:, None, None]
    u = rng.normal(size=p.shape)
    u -= (p * u).sum()
    told = gradients(p[None])
    kinks = 0
    for part in ("unique", "redundant", "masked"):
        before, after = one_sided(p, u, part)
        slope = (told[part][0] * p * u).sum()
        assert min(before, after) - 1e-4 <= slope <= max(before, after) + 1e-4, part
        kinks += abs(before - after) > 1e-3
    assert kinks == 3


def test_at_a_kink_of_a_part_that_is_not_zero():
    # The first bend of Yhat (posterior .1, mass .3: the point (.27, .03)) lies on that of S, the second beyond it.
    zy, zs = np.array([[0.27, 0.2, 0.03], [0.03, 0.07, 0.4]]), np.array([[0.27, 0.23], [0.03, 0.47]])
    p = np.einsum("zy,zs->zys", zy, zs) / zs.sum(1)[:, None, None]
    assert atoms_binary(p[None])["unique"][0] > 0.01
    seen = 0
    for seed in range(20):
        u = np.random.default_rng(seed).normal(size=p.shape)
        u -= (p * u).sum()
        before, after = one_sided(p, u, "unique")
        slope = (gradients(p[None])["unique"][0] * p * u).sum()
        assert min(before, after) - 1e-4 <= slope <= max(before, after) + 1e-4
        seen += abs(before - after) > 1e-3
    assert seen > 5


def test_two_predictions_that_say_the_same_are_one():
    # Cut a prediction in two with the same posterior: same slopes for both halves, and for the rest as before.
    p = tables(np.random.default_rng(3), 3, 5, 1.0, 20)
    cut = np.concatenate([0.4 * p[:, :, :1], 0.6 * p[:, :, :1], p[:, :, 1:]], 2)
    whole, halves = gradients(p), gradients(cut)
    for part in PARTS:
        np.testing.assert_allclose(halves[part], whole[part][:, :, [0, 0, 1, 2]], atol=1e-9)


@pytest.mark.parametrize("counts", [
    np.zeros((2, 2, 3), int) + np.eye(2, dtype=int)[:, :, None],       # Yhat = Z
    np.array([[[5, 0], [0, 0]], [[0, 0], [0, 5]]]),                    # Yhat = Z = S
    np.array([[[5, 3], [1, 0]], [[0, 0], [0, 0]]]),                    # one group
    np.array([[[5, 3], [0, 0]], [[4, 1], [0, 0]]]),                    # a constant
    np.array([[[5, 0, 3]], [[2, 0, 9]]]),                              # one prediction, an empty client
    np.array([[[9, 0], [1, 0]], [[2, 0], [8, 0]]]),                    # an empty client
    np.array([[[9], [1]], [[2], [8]]]),                                # one client
], ids=["z", "z and s", "one group", "constant", "one prediction", "empty client", "one client"])
def test_holes_give_finite_slopes(counts):
    p = counts / counts.sum()
    values, told = atoms_binary(p[None]), gradients(p[None])
    for part in PARTS:
        assert np.isfinite(told[part]).all()
        assert (p * told[part][0]).sum() == pytest.approx(values[part][0], abs=1e-12), part
    if not counts[1].any():
        assert not any(told[part].any() for part in PARTS)


def test_projected_gradients_sum_to_nothing_and_tell_steps_along_the_simplex_the_same():
    rng = np.random.default_rng(9)
    p = tables(rng, 3, 4, 1.0, 10)
    step = rng.normal(size=p.shape)
    step -= step.mean((1, 2, 3), keepdims=True)
    for gradient in gradients(p).values():
        flat = projected(gradient)
        np.testing.assert_allclose(flat.sum((1, 2, 3)), 0, atol=1e-10)
        np.testing.assert_allclose((flat * step).sum((1, 2, 3)), (gradient * step).sum((1, 2, 3)), atol=1e-9)


# --- what the server sends back -----------------------------------------------------------------------------


@pytest.mark.parametrize("knobs", [{"unique": 2.0}, {"redundant": 1.0}, {"masked": 0.5},
                                   {"unique": 1.0, "redundant": 3.0, "masked": 0.7}])
def test_the_penalty_of_the_clients_has_the_gradient_of_the_parts(knobs):
    # Four clients, a linear model with three outputs, in float64: the clients' penalties, weighed by their rows,
    # against the parts of the soft table at weights moved a little either way.
    g = torch.Generator().manual_seed(1)
    n, S, Y = 400, 4, 3
    x = torch.randn(n, 5, generator=g, dtype=torch.float64)
    client = torch.randint(S, (n,), generator=g)
    z = (x[:, 0] + client / 4 - 0.4 + 0.5 * torch.randn(n, generator=g) > 0).long()
    w = torch.randn(5, Y, generator=g, dtype=torch.float64)
    w[0] += torch.tensor([-1.0, 0.0, 1.0])     # it follows the group
    w.requires_grad_()

    def soft(w):
        table = torch.zeros(S * 2, Y, dtype=torch.float64).index_add(0, client * 2 + z, (x @ w).softmax(1))
        return table.view(S, 2, Y)

    def total(w):
        parts = atoms_binary((soft(w).permute(1, 2, 0)[None] / n).numpy())
        return sum(knob * parts[name][0] for name, knob in knobs.items())

    sent = steer(soft(w).detach(), **knobs)
    assert sent.shape == (S, 2, Y) and sent.dtype == np.float32
    assert abs(sent.sum(2)).max() < 1e-5
    loss = 0
    for s in range(S):                         # a mean over rows at each client, weighed by rows: FedAvg
        mine = client == s
        penalty = (torch.from_numpy(sent)[s][z[mine]] * (x[mine] @ w).softmax(1)).sum(1).mean()
        loss = loss + mine.sum() / n * penalty
    told, = torch.autograd.grad(loss, w)
    found, h = torch.zeros_like(told), 1e-5
    with torch.no_grad():
        for i in range(w.numel()):
            step = torch.zeros(w.numel(), dtype=w.dtype)
            step[i] = h
            found.view(-1)[i] = (total(w + step.view_as(w)) - total(w - step.view_as(w))) / (2 * h)
    assert abs(found).max() > 1e-3
    torch.testing.assert_close(told, found, atol=2e-7, rtol=1e-5)    # float32 tables


def test_steering_lowers_the_part_that_it_is_told_to():
    # Small steps on the predictions themselves, [client, group] -> share: unique falls, and masked with its own knob.
    rate = np.array([[0.2, 0.8], [0.3, 0.9], [0.6, 0.4]])              # [client, group]
    people = np.array([[30, 20], [25, 25], [20, 30]])

    def table(rate):
        return people[:, :, None] * np.stack([1 - rate, rate], 2)

    def parts(rate):
        return {k: v[0] for k, v in atoms_binary(np.moveaxis(table(rate), 0, 2)[None] / people.sum()).items()}

    for knob in ("unique", "masked"):
        now = rate.copy()
        for _ in range(200):
            sent = steer(table(now), **{knob: 1.0})
            now = np.clip(now - 0.01 * (sent[:, :, 1] - sent[:, :, 0]), 0.01, 0.99)
        assert parts(rate)[knob] > 0.03 and parts(now)[knob] < 0.1 * parts(rate)[knob], knob


def test_knobs_add_up_and_nobody_is_steered_who_is_not_there():
    counts = np.random.default_rng(2).poisson(20, (5, 2, 2)).astype(float)
    counts[3, 1] = 0
    one, two = steer(counts, unique=1), steer(counts, masked=2)
    np.testing.assert_allclose(steer(counts, unique=1, masked=2), one + two, atol=1e-5)
    assert not steer(counts).any() and not steer(counts, unique=1, redundant=1, masked=1)[3, 1].any()


def test_the_price_is_what_the_tables_weigh():
    tables = np.full((7, 2, 5), 3.0, np.float32)
    assert price(5) == (tables[0].nbytes, steer(tables, unique=1)[0].nbytes) == (40, 40)


@pytest.mark.parametrize(("tables", "knobs", "words"), [
    (np.ones((3, 3, 2)), {}, r"\[3, 3, 2\].*2 groups"),
    (np.ones((3, 2)), {}, r"\[3, 2\]"),
    (np.zeros((3, 2, 2)), {}, "not all of them 0"),
    (np.full((3, 2, 2), np.nan), {}, "finite"),
    (-np.ones((3, 2, 2)), {}, "at least 0"),
    (np.ones((3, 2, 2)), {"masked": -1.0}, r"masked is -1\.0"),
    (np.ones((3, 2, 2)), {"unique": math.nan}, "unique is nan"),
])
def test_bad_input_is_refused_in_words(tables, knobs, words):
    with pytest.raises(ValueError, match=words):
        steer(tables, **knobs)


def test_bad_distributions_are_refused_in_words():
    with pytest.raises(ValueError, match=r"\[1, 3, 2, 2\]"):
        gradients(np.full((1, 3, 2, 2), 1 / 12))
    with pytest.raises(ValueError, match="sum to 1"):
        gradients(np.ones((1, 2, 2, 2)))
    with pytest.raises(ValueError, match="predictions is 0"):
        price(0)


def test_the_examples_in_the_docstrings():
    result = doctest.testmod(pid_gradient)
    assert result.attempted and not result.failed
