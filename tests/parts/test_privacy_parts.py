"""Noise at the clients, a clip that adapts, and DP-SGD of single rows with an account per client."""

import json
import math
from dataclasses import replace
from pathlib import Path

import dp_accounting as dp
import numpy as np
import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import seeds
from fedlab_widgets.engine import advance
from fedlab_widgets.executors import Stacked
from fedlab_widgets.figure_epsilons import epsilons
from fedlab_widgets.local.lots import clipped_sum, lengths, lots, wide
from fedlab_widgets.phases import server_half
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.privatise.accountant import Everyone, Ledger, PoissonSampling
from fedlab_widgets.privatise.local_ledger import LocalLedger, local_multiplier_for
from fedlab_widgets.stack import errors
from fedlab_widgets.types import Memory, never
from fedlab_widgets.world import world_of

ORACLE = json.loads((Path(__file__).parents[1] / "oracles" / "privacy.json").read_text())
DP = fl.Mean(weights="uniform", denominator="expected")
QUIET = fl.Evaluation(readings=(fl.Accuracy(),))


def keys(n, purpose="test"):
    return seeds.keys(5, purpose, 1, torch.arange(n))


def remembered(clip, expected):
    return Memory(shared={"clip": torch.tensor(clip).double(), "expected": torch.tensor(expected).double()})


# --- noise at the clients -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mechanism, std, beyond", [("gaussian", 1.5, 0.3173), ("laplace", 1.5 * 2**0.5, math.exp(-1))])
def test_each_client_adds_the_noise_it_states(mechanism, std, beyond):
    # 3 (multiplier) * 0.5 (clip) = 1.5: the deviation of a Gaussian, of which 31.73 % lies beyond one; the scale of a
    # Laplace, of variance 2 * 1.5^2, of which exp(-1) lies beyond one scale.
    part = fl.LocalNoise(mechanism=mechanism, clip=0.5, noise_multiplier=3.0)
    noise = part.client(torch.zeros(400, 250, dtype=torch.float64), keys(400), part.ledger(None, 100, 1))
    n, fourth = noise.numel(), 3 if mechanism == "gaussian" else 6    # E x^4 / std^4
    assert abs(float(noise.mean())) < 5 * std / n**0.5
    assert abs(float(noise.var()) / std**2 - 1) < 5 * ((fourth - 1) / n) ** 0.5
    assert abs(float((noise.abs() > 1.5).double().mean()) - beyond) < 5 * 0.5 / n**0.5
    assert abs(float((noise[0] * noise[1]).mean())) < 5 * std**2 / 250**0.5   # clients draw by themselves


def test_a_client_cuts_its_row_in_the_norm_of_its_noise():
    # (3, 4): length 5 in L2 -> (0.6, 0.8); 7 in L1 -> (3, 4) / 7.
    rows = torch.tensor([[3.0, 4.0]])
    for mechanism, cut in (("gaussian", [0.6, 0.8]), ("laplace", [3 / 7, 4 / 7])):
        part = fl.LocalNoise(mechanism=mechanism, noise_multiplier=0)
        assert part.client(rows, keys(1), part.ledger(None, 9, 1))[0].tolist() == pytest.approx(cut)


def test_the_account_of_a_client_is_that_of_replacing_its_row():
    # Another row moves what is sent by 2 C: deviation z C is a Gaussian of multiplier z / 2; n rounds divide that by
    # sqrt(n). Laplace of scale z C: 2 / z a round, n times that at most, and never better than what composes best.
    ledger = fl.LocalNoise(noise_multiplier=12.0, delta=1e-5).ledger(PoissonSampling(0.01), 100, 9)
    assert ledger.epsilon(9) == dp.get_epsilon_gaussian(2.0, 1e-5) == ledger.so_far(9, 30)   # whoever is sampled
    assert ledger.epsilon(0) == 0 and LocalLedger("gaussian", 0.0, 1e-5).epsilon(1) == math.inf
    pure = LocalLedger("laplace", 8.0, 1e-6)
    assert pure.epsilon(1) == pytest.approx(0.25, abs=1e-5) and pure.epsilon(1) <= 0.25
    # Optimal composition (Kairouz, Oh, Viswanath 2015, Theorem 3.3), worked out here as a sum over binomials.
    n, e = 40, 0.25

    def beyond(eps):
        i = [i for i in range(n + 1) if (n - 2 * i) * e > eps]
        return sum(math.comb(n, j) * (math.exp((n - j) * e) - math.exp(eps + j * e)) for j in i) / (1 + math.exp(e))**n

    assert beyond(pure.epsilon(n)) == pytest.approx(1e-6, rel=1e-6) and pure.epsilon(n) < n * e


def test_a_target_is_met_closely_and_unreachable_ones_are_refused():
    for mechanism in ("gaussian", "laplace"):
        z = local_multiplier_for(mechanism, 8.0, 1e-5, 20)
        assert 7.95 < LocalLedger(mechanism, z, 1e-5).epsilon(20) <= 8
        given = fl.LocalNoise(mechanism=mechanism, epsilon=8.0, delta=1e-5).ledger(None, 10, 20)
        assert given == LocalLedger(mechanism, z, 1e-5)
    with pytest.raises(fl.BadInput, match="epsilon is 700"):
        fl.LocalNoise(epsilon=700).ledger(None, 10, 1)
    with pytest.raises(fl.BadInput, match="noise_multiplier is 0.001"):
        fl.LocalNoise(noise_multiplier=0.001).ledger(None, 10, 1)


def test_local_noise_goes_with_any_aggregator_and_only_into_rows(line):
    # Updates 0.05 and 0.2 of the two clients, clipped at 0.1 and noised by 0.1 z n_k; the median of two is their mean.
    plan = line(privatise=fl.LocalNoise(clip=0.1, noise_multiplier=2.0), aggregate=fl.Median())
    n = seeds.normals(plan.world.keys("local noise", 1, torch.arange(2)), 1, torch.float64)[:, 0]
    state, events = advance(plan, begin(plan), Stacked(2), never)
    assert float(state.model[0]) == pytest.approx((0.05 + 0.1) / 2 + 0.2 * float(n.mean()), abs=1e-14)
    assert events[-1].epsilon == plan.ledger.epsilon(1)
    said = " ".join(plan.notes)
    assert "against the server itself" in said and "2 times as long" in said and "read without noise" in said
    # A round to which nobody comes sends nothing, and so releases nothing.
    plan = line(privatise=fl.LocalNoise(), schedule=fl.Lockstep(dropout=0.999))
    assert "nobody took part" in advance(plan, begin(plan), Stacked(2), never)[1][0].text


# --- the clip that adapts -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("row", ORACLE["adaptive_clipping_noise_split"]["rows"])
def test_the_noise_is_split_as_the_reference_splits_it(row):
    part = fl.AdaptiveClip(start=2.0, count_noise=row["sigma_b"], delta=1e-5)
    mine = remembered(2.0, row["expected_clients"])
    ledger = Ledger(Everyone(), row["total_noise_multiplier"], 1e-5)
    key, zero = seeds.keys(0, "noise", 1, 0), torch.zeros(50, dtype=torch.float64)
    unit = seeds.normals(key, 50, torch.float64)
    noise = part.noise(zero, ledger, 1.5, key, mine)[0]
    assert torch.allclose(noise, unit * row["z_update"] * 2.0 * 1.5, rtol=1e-12)
    # Sum and count together are one Gaussian of multiplier z: squares of 1 / multiplier add up.
    assert row["z_update"]**-2 + (2 * row["sigma_b"])**-2 == pytest.approx(row["total_noise_multiplier"]**-2)
    if row["sigma_b"] == row["expected_clients"] / 20 >= row["total_noise_multiplier"]:   # its own choice
        assert torch.allclose(fl.AdaptiveClip(delta=1e-5).noise(zero, ledger, 1.5, key, mine)[0], noise, rtol=1e-12)


def test_the_clip_follows_the_share_within_it():
    # Three of four rows within the clip 1, quantile 0.5, rate 0.2: C = exp(-0.2 (3/4 - 1/2)) = exp(-0.05). One counts
    # 1/2 and -1/2: the sum is 3/2 - 1/2 = 1, and 1/2 + 1/4 = 3/4. With nobody, b = 1/2 and the clip stays.
    part = fl.AdaptiveClip(start=1.0, noise_multiplier=0, delta=0.1)
    ledger, key = part.ledger(Everyone(), 4, 1), seeds.keys(0, "count", 1, 0)
    mine = remembered(1.0, 4.0)
    rows = torch.tensor([[0.6, 0.8], [0.1, 0.0], [0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    counted = part.count(rows, mine)
    assert counted.tolist() == [0.5, 0.5, 0.5, -0.5]
    assert float(part.learn(counted.sum(), ledger, key, mine).shared["clip"]) == pytest.approx(math.exp(-0.05))
    assert float(part.learn(counted[:0].sum(), ledger, key, mine).shared["clip"]) == 1.0
    assert part.bound(rows, mine)[3].tolist() == pytest.approx([0.6, 0.8])


def test_the_count_is_noised_as_stated():
    # 4 000 counts of nothing among 100 clients with noise 5: ln C has deviation 0.2 * 5 / 100 = 0.01.
    part = fl.AdaptiveClip(noise_multiplier=1.0, delta=1e-5)
    ledger, zero = part.ledger(Everyone(), 100, 1), torch.zeros((), dtype=torch.float64)
    mine = remembered(1.0, 100.0)
    moved = [math.log(part.learn(zero, ledger, key, mine).shared["clip"]) for key in keys(4000)]
    assert np.std(moved) == pytest.approx(0.01, rel=5 / 8000**0.5) and abs(np.mean(moved)) < 5 * 0.01 / 4000**0.5


def test_the_clip_of_a_run_finds_the_median_and_survives_in_the_state(line):
    # Lengths 0.05 and 0.2 without noise: half the rows are within any clip from 0.05 to 0.2, where it stays; from 1,
    # both are within (b = 1) and it falls by exp(-0.1) a round: 17 rounds to exp(-1.7) = 0.183.
    plan = line(privatise=fl.AdaptiveClip(start=1.0, noise_multiplier=0, delta=0.1), aggregate=DP)
    state, rows = begin(plan), torch.tensor([[0.05], [0.2]], dtype=torch.float64)
    cohort, mine = plan.experiment.schedule.next(plan.world, state)[0], state.memory["privatise"]
    for _ in range(30):
        mine = server_half(plan, replace(state, memory=state.memory | {"privatise": mine}), iter([rows]), cohort)[2]
    assert float(mine.shared["clip"]) == pytest.approx(math.exp(-1.7))
    after = advance(plan, state, Stacked(2), never)[0].memory["privatise"].shared
    assert float(after["clip"]) == pytest.approx(math.exp(-0.1)) and float(after["expected"]) == 2


def test_a_count_too_precise_for_the_budget_is_refused(line):
    with pytest.raises(fl.BadInput, match="privatise.count_noise = 0.4 must be above half the noise multiplier, 0.5"):
        line(privatise=fl.AdaptiveClip(count_noise=0.4, delta=0.1), aggregate=DP)
    with pytest.raises(fl.BadInput, match="privatise = adaptive_clip cannot calibrate"):
        fl.Experiment(privatise=fl.AdaptiveClip(), aggregate=fl.Median())


# --- DP-SGD of single rows ------------------------------------------------------------------------------------------

def digits(net, clients=6, **fields):
    e = fl.Experiment(task=fl.Digits(), net=net, partition=fl.Dirichlet(clients=clients), precision="float64",
                      local=fl.PrivateSGD(), evaluate=QUIET, **fields)
    return world_of(e, torch.device("cpu"))


def explicit(world, w, x, y):
    """Each row's gradient [C, B, P] by autograd, one row at a time."""
    found = torch.zeros(*y.shape, world.layout.total, dtype=w.dtype)
    for c in range(len(w)):
        for i in range(y.shape[1]):
            row = w[c:c + 1].clone().requires_grad_()
            out = torch.func.functional_call(world.net, {n: t[0] for n, t in world.layout.views(row).items()},
                                             (x[c, i:i + 1],))
            found[c, i] = torch.autograd.grad(world.task.loss(out, y[c, i:i + 1]).sum(), row)[0][0]
    return found


@pytest.mark.parametrize("net", [fl.MLP(), fl.Logistic(), fl.CNN()], ids=["mlp", "logistic", "cnn"])
def test_clipping_by_lengths_alone_is_clipping_each_gradient(net):
    world = digits(net)
    rows = 0.05 * seeds.normals(keys(3), world.layout.real.width, torch.float64)
    w = world.layout.real.put(rows) + world.layout.flatten(world.net, world.dtype, world.device)
    at = world.shards.offsets[:3, None] + torch.arange(11)
    x, y = world.shards.gather(at)
    there = (torch.arange(11) % 4 != 1).double().expand(3, 11)
    g = explicit(world, w, x, y)
    norms = g.norm(dim=-1)
    clip = float(norms.median())   # half the rows are cut
    due = (g * (clip / norms).clamp(max=1)[..., None] * there[..., None]).sum(1)
    got, losses = clipped_sum(world, w, x, y, there, clip)
    assert float((got - due).abs().max()) < 1e-10 and float(due.abs().max()) > 1e-3
    assert torch.allclose(losses, (world.task.loss(world.forward(w, x), y) * there).sum(1), atol=1e-10)
    if world.stack is not None:
        seen, found, _ = errors(list(world.stack.layers), w, x, y, torch.ones_like(there))
        assert float((lengths(world.stack.layers, seen, found) - norms).abs().max()) < 1e-10


def test_lots_are_coins_of_the_rows():
    # 5 000 lots of a client of 40 rows at 10 expected: q = 1/4; a row comes 1 250 times (deviation 30.6), the size has
    # variance 40 q (1 - q) = 7.5, and two rows come together q^2 of the time.
    world = digits(fl.Logistic(), 4)
    shards = world.shards
    shards = replace(shards, train=torch.full_like(shards.train, 40))
    ids = torch.ones(5000, dtype=torch.int64)
    rows, there = lots(shards, ids, keys(5000), 10, wide(10, 40))
    seen = torch.zeros(5000, 40)
    for some, here in zip(rows, there, strict=True):
        seen.scatter_add_(1, torch.where(here, some - shards.offsets[1], 0), here.float())
    assert set(seen.flatten().tolist()) == {0.0, 1.0}
    assert float((seen.sum(0) - 1250).abs().max()) < 5 * 30.6
    assert float(seen.sum(1).var()) == pytest.approx(7.5, rel=5 * (2 / 5000) ** 0.5)
    assert float((seen[:, 0] * seen[:, 1]).mean()) == pytest.approx(1 / 16, abs=5 * (1 / 16 / 5000) ** 0.5)
    narrow, real = lots(shards, ids[:50], keys(50), 10, 4)   # in more passes, the same rows
    assert len(narrow) > 3 and int(real.sum()) == int(seen[:50].sum())
    everyone, real = lots(shards, ids[:3], keys(3), 64, 40)
    assert bool(real.all()) and torch.equal(everyone[0, 0], shards.offsets[1] + torch.arange(40))


def test_a_step_on_paper(line):
    # w = 0, clip 1, lr 0.1, lots of all rows (q = 1). Client 0, rows (1, 1) and (2, 0): gradients -1 and 0, so
    # w = 0.1 (1 / 2) = 0.05. Client 1, row (1, 2): gradient -2, cut to -1, w = 0.1. Their mean: 0.075. With noise
    # z = 3: minus 0.1 * 3 n_0 / 2 for client 0, and 0.1 * 3 n_1 for client 1.
    def moved(z):
        plan = line(local=fl.PrivateSGD(lr=0.1, steps=1, batch=8, clip=1.0, noise_multiplier=z))
        return plan, float(advance(plan, begin(plan), Stacked(2), never)[0].model[0])

    assert moved(0)[1] == pytest.approx(0.075, abs=1e-15)
    plan, w = moved(3.0)
    step = seeds.fold(plan.world.keys("training", 1, torch.arange(2)), 0)
    n = seeds.normals(seeds.fold(step, 1), 1, torch.float64)[:, 0]
    assert w == pytest.approx(0.075 - 0.15 * (float(n[0]) / 2 + float(n[1])), abs=1e-14)


def test_the_noise_of_a_client_has_the_deviation_it_states():
    # Where rows have no gradient left (clip 1e-6 beside noise 2e6 clips), an update is noise alone: lr z C / batch.
    world = digits(fl.Logistic(), 4)
    e = fl.Experiment(task=fl.Digits(), partition=fl.Dirichlet(clients=4), evaluate=QUIET)
    local = fl.PrivateSGD(lr=0.5, steps=4, batch=16, clip=1e-6, noise_multiplier=1e4)
    cohort = e.schedule.next(world, begin(prepare(e.changed(net=fl.Logistic(), precision="float64"), world)))[0]
    start = world.layout.flatten(world.net, world.dtype, world.device).expand(4, -1)
    moved = world.layout.real.take(local.train(world, start, cohort, Memory(), keys(4), None, never).end - start)
    size = cohort.sizes.clamp(max=16)[:, None]
    unit = moved * size / (0.5 * 1e4 * 1e-6) / 2    # four steps: twice the deviation of one
    assert float(unit.var()) == pytest.approx(1, rel=5 * (2 / unit.numel()) ** 0.5)


# --- the account per client -----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def run(tmp_path_factory):
    e = fl.Experiment(task=fl.Digits(), partition=fl.Quantity(clients=8), rounds=3, evaluate=QUIET, net=fl.Logistic(),
                      schedule=fl.Lockstep(sampler=fl.Fixed(m=6)),
                      local=fl.PrivateSGD(steps=5, batch=20, noise_multiplier=1.2))
    return fl.run(e, out=tmp_path_factory.mktemp("dp") / "run", progress=False)


def test_each_client_spends_by_its_own_rows(run):
    table = fl.client_epsilons(run)
    assert table.rounds.sum() == 18 and table.rounds.tolist() == run.clients.trips.tolist()
    for client in table.itertuples():   # dp-accounting itself: Poisson lots, all local steps of the rounds it came
        q = min(1, 20 / client.rows)
        event = dp.GaussianDpEvent(1.2) if q == 1 else dp.PoissonSampledDpEvent(q, dp.GaussianDpEvent(1.2))
        account = dp.pld.PLDAccountant(value_discretization_interval=1e-3)
        account.compose(event, 5 * client.rounds)
        assert (client.q, client.steps) == (pytest.approx(q), 5 * client.rounds)
        assert client.epsilon == pytest.approx(account.get_epsilon(1e-5), rel=5e-3), client
    same = table[table.rounds == table.rounds.mode()[0]].sort_values("rows")
    assert same.epsilon.is_monotonic_decreasing and same.epsilon.iloc[0] > 2 * same.epsilon.iloc[-1]
    assert table.attrs["whose"] == "any one row of the client, against the server"
    assert run.history.epsilon.isna().all()   # the model's column claims nothing


def test_the_figure_counts_the_clients_at_each_epsilon(run):
    figure = epsilons(run)
    bars = figure.figure.data[0]
    assert sum(bars.y) == 8 == len(figure.data)
    worst = figure.data.epsilon.max()
    assert figure.figure.data[1].x[0] == worst
    assert figure.figure.layout.annotations[0].text == f"largest, so for all: {worst:.3g}"   # 8 of a panel of up to 100
    assert "any one row of the client" in figure.figure.layout.xaxis.title.text


def test_an_account_per_client_of_local_noise(tmp_path):
    e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=5), rounds=2, evaluate=QUIET, net=fl.Logistic(),
                      schedule=fl.Lockstep(sampler=fl.Fixed(m=3)), privatise=fl.LocalNoise(epsilon=6.0, delta=1e-3))
    run = fl.run(e, out=tmp_path / "run", progress=False)
    table = fl.client_epsilons(run)
    z = local_multiplier_for("gaussian", 6.0, 1e-3, 2)
    due = {n: LocalLedger("gaussian", z, 1e-3).epsilon(n) for n in (0, 1, 2)}
    assert table.epsilon.tolist() == [due[n] for n in table.rounds] and run.history.epsilon.tolist() == [due[1], due[2]]


def test_who_keeps_no_account_is_told(tmp_path):
    e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), rounds=1, evaluate=QUIET, net=fl.Logistic())
    run = fl.run(e, out=tmp_path / "run", progress=False)
    with pytest.raises(fl.BadInput, match="keeps no account per client"):
        fl.client_epsilons(run)
    e = e.changed(local=fl.PrivateSGD(steps=1, noise_multiplier=0))
    with pytest.raises(fl.BadInput, match="finite epsilon above 0"):
        epsilons(fl.run(e, out=tmp_path / "none", progress=False))


def test_channels_outside_the_noise_are_refused():
    asks = next(f for f in fl.catalogue("fairness").values() if f().sends and not f().stays)()
    for fields in ({"local": fl.PrivateSGD()}, {"privatise": fl.LocalNoise()}):
        with pytest.raises(fl.BadInput, match="not hide"):
            fl.Experiment(fairness=asks, **fields)
    e = fl.Experiment(task=fl.Digits(), partition=fl.Reuse(clients=20), local=fl.PrivateSGD(), evaluate=QUIET)
    with pytest.raises(fl.BadInput, match="a row belongs to several"):
        prepare(e, world_of(e, torch.device("cpu")))


def test_what_is_said_before_a_run_of_private_steps(line):
    said = [*fl.PrivateSGD(noise_multiplier=0, delta=0.6).remarks(line())]
    assert "no privacy" in said[0] and "not below 1 / rows for 1 clients" in said[1]
    assert "each client's own" in said[2] and "read without noise" in said[3]
    assert len([*fl.PrivateSGD().remarks(line())]) == 2
