"""Methods against drift: by hand on a model of one weight, and against one loop in plain PyTorch that shares no
training code with the package (float64, partial participation, clients of several sizes)."""

import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import fedlab_widgets as fl
from fedlab_widgets import engine, seeds
from fedlab_widgets.correct import Contrastive, DynamicRegulariser, NormaliseSteps
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.server import Momentum
from fedlab_widgets.session import one_thread
from fedlab_widgets.types import Memory, never
from fedlab_widgets.world import world_of

X, Y = load_digits(return_X_y=True)
DIGITS = fl.from_arrays(X[:300].reshape(-1, 1, 8, 8) / 8 - 1, Y[:300], name="a few digits")


def after(plan, rounds, executor=fl.Stacked(2)):
    state, events = begin(plan), []
    with one_thread():
        for _ in range(rounds):
            state, events = engine.advance(plan, state, executor.settled(plan.world), never)
    return state, events[-1]


def one_step(*corrections, **local):
    return fl.SGD(**{"lr": 0.1, "epochs": 1, "batch": None, **local}, correct=corrections)


# --- FedDyn ---------------------------------------------------------------------------------------------------------

def test_feddyn_over_two_rounds(line):
    """One step of 0.1 a round, alpha = 0.5; gradients (5 w - 1)/2 and w - 2.

    Round 1, w = 0, all h 0: ends 0.05 and 0.2; h_0 = -0.5 * 0.05 = -0.025, h_1 = -0.1. d = 0.125, u = 0.125 (both of
    two came), w = 0.125 + 0.125 = 0.25. In the paper's symbols h = -0.5 u = -0.0625, the mean of the two.
    Round 2: g_0 = 0.125, g' = 0.125 + 0.025 = 0.15, moves -0.015; g_1 = -1.75, g' = -1.75 + 0.1 = -1.65, moves 0.165.
    d = 0.075, u = 0.2, w = 0.25 + 0.075 + 0.2 = 0.525. h_0 = -0.025 + 0.0075 = -0.0175, h_1 = -0.1 - 0.0825 = -0.1825.
    """
    plan = line(local=one_step(DynamicRegulariser(alpha=0.5)))
    for rounds, w, own, u in ((1, 0.25, [-0.025, -0.1], 0.125), (2, 0.525, [-0.0175, -0.1825], 0.2)):
        state, _ = after(plan, rounds)
        memory = state.memory["local"]
        assert float(state.model[0]) == pytest.approx(w, abs=1e-15)
        assert memory.own["0.h"].gather(torch.arange(2))[:, 0].tolist() == pytest.approx(own, abs=1e-15)
        assert float(memory.shared["0.server_u"][0]) == pytest.approx(u, abs=1e-15)
        assert -0.5 * u == pytest.approx(sum(own) / 2), "h of the server is the mean of the clients'"


def test_feddyn_with_half_of_the_clients(line):
    # Client 0 alone moves 0.05 and is half of all: u = 0.5 * 0.05 = 0.025, w = 0.05 + 0.025.
    state, _ = after(line(local=one_step(DynamicRegulariser(alpha=0.5)), schedule=fl.Lockstep(clients=(0,))), 1)
    assert float(state.model[0]) == pytest.approx(0.075, abs=1e-15)


def test_feddyn_sends_no_more_than_fedavg(line):
    # One weight of 8 bytes up and down, two clients: what the server adds up never leaves it.
    _, ended = after(line(local=one_step(DynamicRegulariser())), 1)
    assert (ended.bytes_up, ended.bytes_down) == (16, 16)


def test_feddyn_comes_to_the_common_minimum_and_fedavg_does_not(line):
    """The mean loss ((w - 1)^2 + 4 w^2)/4 + (w - 2)^2/2 over both clients is least where (5 w - 1)/2 + w - 2 = 0, at
    w = 2.5/3.5 = 5/7. Many steps a round lead FedAvg to the mean of the clients' own minima, (0.2 + 2)/2 = 1.1."""
    found = [float(after(line(local=one_step(*correct, epochs=None, steps=20, lr=0.3)), 20)[0].model[0])
             for correct in ((DynamicRegulariser(alpha=1.0),), ())]
    assert found == pytest.approx([5 / 7, 1.1], abs=1e-3)


def test_feddyn_needs_clients_that_count_the_same():
    with pytest.raises(fl.BadInput, match="aggregate.weights"):
        fl.Experiment(local=fl.SGD(correct=(DynamicRegulariser(),)), aggregate=fl.Mean(weights="samples"))


# --- FedNova --------------------------------------------------------------------------------------------------------

def test_fednova_by_hand(line):
    """Batches of one row: client 0 takes two steps, client 1 one. lr = 0.1, from w = 0; weights 2/3 and 1/3.

    Client 0, its rows in either order: g = w - 1 at (1, 1) and 4 w at (2, 0). First (1, 1): 0 -> 0.1, then -0.04:
    0.06. First (2, 0): 0 -> 0, then 0.1. Mean steps 0.06 / 0.2 = 0.3, or 0.5. Client 1: 0.2 / 0.1 = 2.
    Mean path 2/3 0.2 + 1/3 0.1 = 1/6. w = (2/3 0.3 + 1/3 2) / 6 = 0.144444, or (2/3 0.5 + 2/3) / 6 = 1/6.
    FedAvg would be at 2/3 0.06 + 1/3 0.2 = 0.106667, or 0.133333.
    """
    plan = line(local=one_step(NormaliseSteps(), batch=1), aggregate=fl.Mean(weights="samples"))
    plain = line(local=one_step(batch=1), aggregate=fl.Mean(weights="samples"))
    found, before = (float(after(p, 1)[0].model[0]) for p in (plan, plain))
    assert before == pytest.approx(0.32 / 3, abs=1e-15) or before == pytest.approx(0.4 / 3, abs=1e-15)
    assert found == pytest.approx(0.8666666666666667 / 6 if before < 0.12 else 1 / 6, abs=1e-15)


def test_fednova_is_fedavg_where_all_take_as_many_steps(line):
    models = [after(line(local=one_step(*c, epochs=None, steps=3)), 2)[0].model for c in ((NormaliseSteps(),), ())]
    assert torch.allclose(*models, rtol=0, atol=1e-15)


def test_fednova_sends_one_number_more(line):
    _, ended = after(line(local=one_step(NormaliseSteps())), 1)
    assert (ended.bytes_up, ended.bytes_down) == (2 * (8 + 8), 16)


@pytest.mark.parametrize("wrong, said", [
    ({"local": fl.SGD(momentum=0.5, correct=(NormaliseSteps(),))}, "momentum"),
    ({"encode": fl.TopK()}, "encode = top_k.*set encode to 'update'"),
    ({"privatise": fl.Gaussian(), "aggregate": fl.Mean(weights="uniform", denominator="expected")}, "privatise")])
def test_fednova_refuses_what_would_spoil_its_lengths(wrong, said):
    with pytest.raises(fl.BadInput, match=said):
        fl.Experiment(**{"local": fl.SGD(correct=(NormaliseSteps(),)), **wrong})


# --- MOON -----------------------------------------------------------------------------------------------------------

def contrast_world(net, rounds=1, **fields):
    e = fl.Experiment(task=DIGITS, net=net, partition=fl.Dirichlet(clients=4, alpha=0.3), precision="float64", seed=5,
                      rounds=rounds, name="contrast", **fields)
    return prepare(e, world_of(e, torch.device("cpu")))


@pytest.mark.parametrize("net", [fl.MLP(hidden=(7, 5)), fl.CNN(channels=2, hidden=6)], ids=["mlp", "cnn"])
def test_moon_is_the_gradient_of_the_papers_loss(net):
    """Eq. 3 as printed, -log(e^{s_global / T} / (e^{s_global / T} + e^{s_last / T})), by autograd."""
    world = contrast_world(net).world
    part, first = Contrastive(mu=3.0, temperature=0.5), world.layout.flatten(world.net, torch.float64, "cpu")
    noise = lambda n: 0.1 * seeds.normals(seeds.keys(n, "t", 0, torch.arange(2)), len(first), torch.float64)  # noqa: E731
    w, start, last = (world.layout.real.put(world.layout.real.take(first + noise(n))) for n in (1, 2, 3))
    x, share = world.shards.x[:12].view(2, 6, 1, 8, 8), torch.full((2, 6), 1 / 6, dtype=torch.float64)
    share[1, 4:] = 0
    mine = Memory(own={"last": last})
    found = world.layout.views(part.batch(world, w, x, None, share, start, mine))
    for i in range(2):
        tensors = {name: t[i].clone().requires_grad_() for name, t in world.layout.views(w).items()}
        seen = []
        hook = list(world.net)[-1].register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        for some in (tensors, *({n: t[i] for n, t in world.layout.views(rows).items()} for rows in (start, last))):
            torch.func.functional_call(world.net, some, (x[i],))
        hook.remove()
        to_global, to_last = (torch.cosine_similarity(seen[0], z, dim=1) / 0.5 for z in seen[1:])
        loss = -torch.log(to_global.exp() / (to_global.exp() + to_last.exp()))
        (3.0 * (loss * share[i]).sum()).backward()
        for name, t in tensors.items():
            by_hand = torch.zeros_like(t) if t.grad is None else t.grad
            assert torch.allclose(found[name][i], by_hand, rtol=0, atol=1e-13), name
    assert float(found["1.weight" if "1.weight" in found else "0.weight"].abs().max()) > 1e-4


def test_moon_remembers_the_end_of_the_last_round_and_begins_as_fedavg():
    """With nothing remembered but the initial model, which is also where round 1 begins, s_last = s_global on every
    row, and the two slopes cancel: round 1 is FedAvg's. In round 2 they differ."""
    how = {"lr": 0.1, "batch": 16, "epochs": 2}
    plans = [contrast_world(fl.MLP(hidden=(9,)), 2, local=fl.SGD(**how, correct=c)) for c in ((Contrastive(mu=5),), ())]
    (one, _), (two, _) = (after(p, 1) for p in plans)
    assert torch.allclose(one.model, two.model, rtol=0, atol=1e-13)
    last = one.memory["local"].own["0.last"].gather(torch.arange(4))
    weights = plans[0].world.shards.train.double() / plans[0].world.shards.train.sum()
    assert torch.allclose(weights @ last, one.model, rtol=0, atol=1e-13)
    assert float((after(plans[0], 2)[0].model - after(plans[1], 2)[0].model).abs().max()) > 1e-5


@pytest.mark.parametrize("net", [fl.MLP(hidden=(9,)), fl.CNN(channels=2, hidden=6)], ids=["mlp", "cnn"])
def test_moon_side_by_side_and_one_by_one(net):
    """The contracts look at it on a net of one layer, where there is nothing to contrast."""
    plan = contrast_world(net, 2, local=fl.SGD(lr=0.1, batch=16, correct=(Contrastive(mu=5),)))
    reference, chunked, alone = (after(plan, 2, e)[0].model for e in (fl.Stacked(4), fl.Stacked(2), fl.OneByOne()))
    assert torch.equal(reference, chunked) and torch.allclose(reference, alone, rtol=0, atol=2e-12)


class TwoRoads(nn.Module):
    """No Sequential: what its last layer is, nobody can tell from outside."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(64, 10), nn.Linear(64, 10)

    def forward(self, x):
        return self.a(x.flatten(1)) + self.b(x.flatten(1)).tanh()


class Roads(fl.Net):
    """A net of a user's own."""

    name = "roads_of_this_test"

    def build(self, inputs, outputs):
        return TwoRoads()


def test_moon_refuses_a_net_whose_last_layer_is_unknown():
    with pytest.raises(fl.BadInput, match="last layer.*TwoRoads.*choose net = mlp or cnn"):
        contrast_world(Roads(), local=fl.SGD(correct=(Contrastive(),)))


# --- against a plain loop ---------------------------------------------------------------------------------------------

def batches(world, client, round, batch):
    """The rows of one client's epoch, from its key and its number of rows alone."""
    n, first = int(world.shards.train[client]), int(world.shards.offsets[client])
    order = seeds.permutations(seeds.fold(seeds.keys(world.seed, "training", round, client), 0), n)
    return [first + order[at:at + batch] for at in range(0, n, batch)]


def plain(world, cohorts, method, lr=0.2, alpha=0.3, beta=0.9, batch=16):
    """The model (weight and bias in one vector) after each round."""
    w = nn.utils.parameters_to_vector(world.net.parameters()).detach().clone()
    h, own, u = torch.zeros_like(w), torch.zeros(world.clients, len(w), dtype=w.dtype), torch.zeros_like(w)
    for round, cohort in enumerate(cohorts, 1):
        p = world.shards.train[cohort].double()
        p = torch.full_like(p, 1 / len(p)) if method == "feddyn" else p / p.sum()
        ends, steps = [], []
        for i in cohort:
            net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, dtype=torch.float64))
            nn.utils.vector_to_parameters(w.clone(), net.parameters())
            for rows in batches(world, i, round, batch):
                loss = nn.functional.cross_entropy(net(world.shards.x[rows]), world.shards.y[rows])
                x = nn.utils.parameters_to_vector(net.parameters())
                if method == "feddyn":   # as in the paper: minus <h_i, x>, plus alpha / 2 |x - w|^2
                    loss = loss - own[i] @ x + alpha / 2 * ((x - w)**2).sum()
                grads = torch.autograd.grad(loss, list(net.parameters()))
                nn.utils.vector_to_parameters(x.detach() - lr * nn.utils.parameters_to_vector(
                    [g.contiguous() for g in grads]), net.parameters())
            ends.append(nn.utils.parameters_to_vector(net.parameters()).detach())
            steps.append(len(batches(world, i, round, batch)))
        ends, steps = torch.stack(ends), torch.tensor(steps, dtype=w.dtype)
        if method == "feddyn":
            own[cohort] -= alpha * (ends - w)
            h = h - alpha / world.clients * (ends - w).sum(0)
            w = ends.mean(0) - h / alpha
        elif method == "fednova":
            w = w + (p * steps).sum() * (p / steps) @ (ends - w)
        else:
            u = beta * u + p @ (ends - w)
            w = w + 0.8 * u
        yield w


@pytest.mark.parametrize("method", ["feddyn", "fednova", "fedavgm"])
def test_three_rounds_against_a_plain_loop(method):
    correct = {"feddyn": (DynamicRegulariser(alpha=0.3),), "fednova": (NormaliseSteps(),), "fedavgm": ()}[method]
    e = fl.Experiment(
        task=DIGITS, net=fl.Logistic(), partition=fl.Dirichlet(clients=6, alpha=0.3), rounds=3, seed=4,
        schedule=fl.Lockstep(sampler=fl.Fixed(m=3)), precision="float64", name=method,
        local=fl.SGD(lr=0.2, batch=16, correct=correct),
        server=Momentum(lr=0.8, beta=0.9) if method == "fedavgm" else fl.Apply(),
        aggregate=fl.Mean(weights="uniform" if method == "feddyn" else "samples"))
    with one_thread():
        plan = prepare(e, world_of(e, torch.device("cpu")))
        state, found, cohorts = begin(plan), [], []
        for _ in range(e.rounds):
            state, events = engine.advance(plan, state, fl.Stacked(2).settled(plan.world), never)
            cohorts.append(events[-1].cohort)
            found.append(torch.cat([t.flatten() for t in plan.world.layout.views(state.model).values()]))
    assert len({math.ceil(int(n) / 16) for n in plan.world.shards.train}) > 2, "clients should differ in steps"
    for r, (ours, by_hand) in enumerate(zip(found, plain(plan.world, cohorts, method), strict=True), 1):
        assert float((ours - by_hand).abs().max()) <= 1e-12 * r, f"round {r}"
    assert float((found[0] - found[-1]).abs().max()) > 1e-2
