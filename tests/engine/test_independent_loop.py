"""FedAvg, FedProx and SCAFFOLD against one plain PyTorch loop that shares no training code with the package.

Everything in float64; the models of every round agree within 1e-12 a round.
"""

import math

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import fedlab_widgets as fl
from fedlab_widgets import engine, seeds
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.session import one_thread
from fedlab_widgets.world import world_of

ROUNDS = 3
X, Y = load_digits(return_X_y=True)
DIGITS = fl.from_arrays(X[:500].reshape(-1, 1, 8, 8) / 8 - 1, Y[:500], name="some digits")   # 400 rows to learn from


def engine_models(e, executor):
    """World, the model's tensors by name after rounds 0 … n, and the cohorts of rounds 1 … n."""
    with one_thread():
        plan = prepare(e, world_of(e, torch.device("cpu")))
        state = begin(plan)
        states, cohorts = {0: state}, []
        for event, now in engine.rounds(plan, state, executor.settled(plan.world)):
            if type(event).__name__ == "RoundEnded":
                cohorts.append(event.cohort)
            if now is not None:
                states[now.round] = now
        assert type(event).__name__ == "Stopped" and event.reason == "finished"
    return plan.world, [plan.world.layout.views(states[r].model) for r in range(e.rounds + 1)], cohorts


def batches(world, client, round, batch, epochs, steps):
    """The rows of one client's steps, from its key and its number of rows alone."""
    n, first = int(world.shards.train[client]), int(world.shards.offsets[client])
    size = batch or n
    per_epoch = math.ceil(n / size)
    key = seeds.keys(world.seed, "training", round, client)
    for t in range(steps or epochs * per_epoch):
        if t % per_epoch == 0:
            order = seeds.permutations(seeds.fold(key, t // per_epoch), n)
        at = t % per_epoch * size
        yield first + order[at:at + size]


def independent(world, net, cohorts, lrs, method="fedavg", mu=0.0, batch=16, epochs=1, steps=None, momentum=0.0,
                weight_decay=0.0, clip=None):
    """The server's weights after each round, client by client."""
    params, N = list(net.parameters()), world.clients
    server = [p.detach().clone() for p in params]
    c, own = [0 * p for p in server], [[0 * p for p in server] for _ in range(N)]
    bound = 0   # steps whose gradient was clipped
    for round, (cohort, lr) in enumerate(zip(cohorts, lrs, strict=True), 1):
        sums, weight, change = [0 * p for p in server], 0.0, [0 * p for p in server]
        for i in cohort:
            for p, s in zip(params, server, strict=True):
                p.data.copy_(s)
            optimiser = torch.optim.SGD(params, lr=lr, momentum=momentum, weight_decay=weight_decay)
            taken = 0
            for rows in batches(world, i, round, batch, epochs, steps):
                taken += 1
                optimiser.zero_grad()
                nn.functional.cross_entropy(net(world.shards.x[rows]), world.shards.y[rows]).backward()
                for p, s, ci, shared in zip(params, server, own[i], c, strict=True):
                    p.grad += mu * (p.detach() - s) - ci + shared
                norm = math.sqrt(sum(float((p.grad**2).sum()) for p in params))
                if clip is not None and norm > clip:
                    bound += 1
                    for p in params:
                        p.grad *= clip / norm
                optimiser.step()
            n = 1.0 if method == "scaffold" else float(world.shards.train[i])
            weight += n
            for k, (p, s) in enumerate(zip(params, server, strict=True)):
                sums[k] += n * (p.detach() - s)
                if method == "scaffold":
                    new = own[i][k] - c[k] + (s - p.detach()) / (taken * lr)
                    change[k] += new - own[i][k]
                    own[i][k] = new
        server = [s + d / weight for s, d in zip(server, sums, strict=True)]
        c = [a + d / N for a, d in zip(c, change, strict=True)]
        yield server, bound


def compare(e, net, executor, method="fedavg", **how):
    """The largest difference of each round; the engine must also have moved, and cohorts must be as many as asked."""
    world, models, cohorts = engine_models(e, executor)
    with torch.no_grad():
        for p, q in zip(net.double().parameters(), world.net.parameters(), strict=True):
            assert p.shape == q.shape
            p.copy_(q)
    lrs = how.pop("lrs", [e.local.lr] * e.rounds)
    by_hand = list(independent(world, net, cohorts, lrs, method, **how))
    worst = [max(float((a - b).abs().max()) for a, b in zip(model.values(), server, strict=True))
             for model, (server, _) in zip(models[1:], by_hand, strict=True)]
    moved = max(float((a - b).abs().max()) for a, b in zip(models[0].values(), models[-1].values(), strict=True))
    assert moved > 1e-3, "the engine did not train"
    for r, difference in enumerate(worst, 1):
        assert difference <= 1e-12 * r, f"round {r}: {difference}"
    return world, cohorts, by_hand[-1][1]


LOGISTIC = fl.Logistic(), lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
MLP = fl.MLP(hidden=(24, 12)), lambda: nn.Sequential(
    nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 12), nn.ReLU(), nn.Linear(12, 10))
CNN = fl.CNN(channels=3, hidden=20), lambda: nn.Sequential(
    nn.Conv2d(1, 3, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 6, 5, padding=2), nn.ReLU(),
    nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 20), nn.ReLU(), nn.Linear(20, 10))
NETS = pytest.mark.parametrize("net", [LOGISTIC, MLP, CNN], ids=["logistic", "mlp", "cnn"])
METHODS = pytest.mark.parametrize("method", ["fedavg", "fedprox", "scaffold"])
MU = 0.3


def experiment(net=MLP[0], method="fedavg", clients=7, asked=4, **local):
    correct = {"fedavg": (), "fedprox": (fl.Proximal(mu=MU),), "scaffold": (fl.ControlVariate(),)}[method]
    return fl.Experiment(
        task=DIGITS, net=net, partition=fl.Dirichlet(clients=clients, alpha=0.3), rounds=ROUNDS, seed=11,
        schedule=fl.Lockstep(sampler=fl.Fixed(m=asked)), precision="float64",
        local=fl.SGD(correct=correct, **{"lr": 0.1, "batch": 16} | local),
        aggregate=fl.Mean(weights="uniform" if method == "scaffold" else "samples"),
        evaluate=fl.Evaluation(every=100))


def mu_of(method):
    return MU if method == "fedprox" else 0.0


@NETS
@METHODS
def test_methods_and_nets(net, method):
    part, build = net
    e = experiment(part, method, epochs=2)
    world, cohorts, _ = compare(e, build(), fl.Stacked(3), method, mu=mu_of(method), epochs=2)
    assert [len(c) for c in cohorts] == [4] * ROUNDS and len({tuple(c) for c in cohorts}) > 1
    assert world.shards.train.unique().numel() > 4, "the clients should differ in size"


@METHODS
@pytest.mark.parametrize("how", [{"steps": 3}, {"steps": 15}, {"epochs": 3}, {"epochs": 2, "batch": None},
                                 {"steps": 4, "batch": None}, {"epochs": 1, "batch": 1000}, {"epochs": 1, "batch": 7}],
                         ids=lambda how: "-".join(f"{k}={v}" for k, v in how.items()))
def test_epochs_steps_and_batches(method, how):
    e = experiment(method=method, **how)
    compare(e, MLP[1](), fl.Stacked(2), method, mu=mu_of(method), **how)


@pytest.mark.parametrize("executor", [fl.OneByOne(), fl.Stacked(1), fl.Stacked(3), fl.Stacked(100)], ids=repr)
@METHODS
def test_executors(executor, method):
    compare(experiment(method=method), MLP[1](), executor, method, mu=mu_of(method))


@NETS
@pytest.mark.parametrize("method", ["fedavg", "fedprox"])
def test_momentum_and_weight_decay_are_those_of_torch(net, method):
    part, build = net
    how = {"momentum": 0.9, "weight_decay": 0.02, "epochs": 2}
    compare(experiment(part, method, lr=0.03, **how), build(), fl.Stacked(4), method, mu=mu_of(method), **how)


@METHODS
def test_gradient_clipping(method):
    """Per client, after the correction and before weight decay and momentum."""
    how = {"clip": 0.5, "weight_decay": 0.01, "momentum": 0.0 if method == "scaffold" else 0.5}
    *_, bound = compare(experiment(method=method, **how), MLP[1](), fl.Stacked(3), method, mu=mu_of(method), **how)
    assert bound > 15, "the bound was hardly ever reached, so nothing was tried"


@pytest.mark.parametrize("schedule, shares", [("linear", [1, 0.6, 0.2]), ("cosine", [1, 0.6, 0.2])])
@pytest.mark.parametrize("method", ["fedavg", "scaffold"])
def test_falling_step_sizes(schedule, shares, method):
    """Three rounds: at the start, halfway (cos(pi/2) = 0, so both schedules agree there) and at lr_end."""
    e = experiment(method=method, schedule=schedule, lr_end=0.2)
    compare(e, MLP[1](), fl.Stacked(3), method, lrs=[0.1 * s for s in shares])


def test_full_participation_of_many_clients():
    """Forty clients: the fold goes over three blocks."""
    e = experiment(LOGISTIC[0], clients=40, asked=40)
    _, cohorts, _ = compare(e, LOGISTIC[1](), fl.Stacked(9))
    assert cohorts == [list(range(40))] * ROUNDS


def test_server_step_size():
    e = experiment()
    whole, half = (engine_models(e.changed(server=fl.Apply(lr=lr), rounds=1), fl.Stacked(3))[1] for lr in (1.0, 0.5))
    for name, start in whole[0].items():
        assert torch.allclose(half[1][name] - start, 0.5 * (whole[1][name] - start), rtol=0, atol=1e-15)


class TiedModule(nn.Module):
    """Two layers that share one matrix."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(64, 16), nn.Linear(16, 16), nn.Linear(16, 16)
        self.third.weight = self.second.weight
        self.last = nn.Linear(16, 10)

    def forward(self, x):
        x = self.first(x.flatten(1)).relu()
        return self.last(self.third(self.second(x).relu()).relu())


class NormModule(nn.Module):
    """GroupNorm on images, LayerNorm on their features."""

    def __init__(self):
        super().__init__()
        self.conv, self.group = nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4)
        self.hidden, self.layer, self.last = nn.Linear(64, 12), nn.LayerNorm(12), nn.Linear(12, 10)

    def forward(self, x):
        x = nn.functional.avg_pool2d(self.group(self.conv(x)).relu(), 2)
        return self.last(self.layer(self.hidden(x.flatten(1))).relu())


class Tied(fl.Net):
    """A user's net with tied weights."""

    name = "tied_of_this_test"

    def build(self, inputs, outputs):
        return TiedModule()


class Norms(fl.Net):
    """A user's net with normalisation layers."""

    name = "norms_of_this_test"

    def build(self, inputs, outputs):
        return NormModule()


@pytest.mark.parametrize("net", [(Tied(), TiedModule), (Norms(), NormModule)], ids=["tied", "norms"])
@METHODS
def test_nets_of_a_user(net, method):
    part, build = net
    world, *_ = compare(experiment(part, method, epochs=2), build(), fl.Stacked(3), method, mu=mu_of(method), epochs=2)
    assert world.stacks
    assert world.layout.real.width == sum(p.numel() for p in build().parameters())   # a shared matrix counts once


def test_a_tied_matrix_stays_tied():
    world, models, _ = engine_models(experiment(Tied()), fl.Stacked(3))
    assert "third.weight" not in models[-1] and "third.bias" in models[-1]
    net = torch.func.functional_call(world.net, models[-1], (world.shards.x[:3],))
    by_hand = TiedModule().double()
    by_hand.load_state_dict(models[-1], strict=False)
    assert torch.allclose(net, by_hand(world.shards.x[:3]), rtol=0, atol=1e-14)
