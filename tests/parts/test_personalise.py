"""Models of clients' own: by hand on a model of one weight (two for FedRep), and against plain PyTorch; who gains."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import fedlab_widgets as fl
from fedlab_widgets.engine import advance
from fedlab_widgets.figure_gain import gain_table, gains
from fedlab_widgets.plan import begin, models, prepare
from fedlab_widgets.session import one_thread
from fedlab_widgets.slots import Net
from fedlab_widgets.types import never
from fedlab_widgets.world import world_of

BOTH = torch.tensor([0, 1])


def after(plan, rounds, executor=fl.Stacked(2)):
    state = begin(plan)
    with one_thread():
        for _ in range(rounds):
            state, events = advance(plan, state, executor.settled(plan.world), never)
    return state, events[-1]


def used(plan, state):
    """The weight that each of the two clients uses."""
    return models(plan, state, BOTH).expand(2, -1)[:, 0].tolist()


# --- by hand: gradients (5 w - 1)/2 and w - 2, one step of 0.1 from w = 0; FedAvg's w is 0.125, then 0.228125 ---------

def test_ditto_over_two_rounds(line):
    """mu = 0.5. Round 1: v and the model received are both 0, no pull: v_0 = 0.05, v_1 = 0.2.

    Round 2, received 0.125: g_0 = (0.25 - 1)/2 + 0.5 (0.05 - 0.125) = -0.4125, v_0 = 0.09125;
    g_1 = 0.2 - 2 + 0.5 (0.2 - 0.125) = -1.7625, v_1 = 0.37625. What is trained together is FedAvg's, and so are bytes:
    one weight of 8 bytes a client, up and down.
    """
    plan = line(personalise=fl.OwnModel(mu=0.5))
    for rounds, shared, own in ((1, 0.125, [0.05, 0.2]), (2, 0.228125, [0.09125, 0.37625])):
        state, ended = after(plan, rounds)
        assert float(state.model[0]) == pytest.approx(shared, abs=1e-15)
        assert used(plan, state) == pytest.approx(own, abs=1e-15)
        assert (ended.bytes_up, ended.bytes_down) == (16, 16)


def test_ditto_between_training_alone_and_the_model_of_all(line):
    # Many steps on a fixed model of all w: (5 v - 1)/2 + mu (v - w) = 0 at v = (0.5 + mu w)/(2.5 + mu).
    steps = fl.SGD(lr=0.1, epochs=None, steps=200, batch=None)
    for mu in (0.0, 2.0):
        plan = line(local=steps, personalise=fl.OwnModel(mu=mu))
        state = after(plan, 2)[0]
        start = float(after(plan, 1)[0].model[0])
        assert used(plan, state)[0] == pytest.approx((0.5 + mu * start) / (2.5 + mu), abs=1e-9)


def test_apfl_by_hand(line):
    """alpha = 0.5. Clients' copies end at 0.05 and 0.2; m_0 = 0.025, its gradient (0.125 - 1)/2 = -0.4375, and that of
    v_0 half of it: v_0 = 0.1 * 0.21875 = 0.021875. m_1 = 0.1, -1.9, v_1 = 0.095. Clients use 0.5 v + 0.5 * 0.125."""
    plan = line(personalise=fl.Mixture(alpha=0.5))
    state = after(plan, 1)[0]
    assert state.memory["personalise"].own["model"].gather(BOTH)[:, 0].tolist() == pytest.approx([0.021875, 0.095])
    assert used(plan, state) == pytest.approx([0.0734375, 0.11], abs=1e-15)
    assert float(state.model[0]) == pytest.approx(0.125, abs=1e-15)


def test_apfl_with_nothing_of_the_model_of_all_is_training_alone(line):
    alone, mixed = line(personalise=fl.OwnModel(mu=0.0)), line(personalise=fl.Mixture(alpha=1.0))
    assert used(alone, after(alone, 3)[0]) == pytest.approx(used(mixed, after(mixed, 3)[0]), abs=1e-15)


def test_fine_tuning_by_hand(line):
    """From 0.125 with steps of 0.2: -0.2 (0.625 - 1)/2 = 0.0375 and -0.2 (0.125 - 2) = 0.375 further; all else as in
    FedAvg, and read twice the same."""
    plan = line(personalise=fl.FineTune(epochs=1, scale=2.0))
    state = after(plan, 1)[0]
    assert used(plan, state) == pytest.approx([0.1625, 0.5], abs=1e-15) == used(plan, state)
    assert float(state.model[0]) == pytest.approx(0.125, abs=1e-15)


def test_fine_tuning_does_not_stop_with_the_schedule_of_the_rounds(line):
    # The last of two rounds has a step size of 0: w stays 0.125. Fine-tuning still goes a step of 0.1: + 0.01875.
    plan = line(rounds=2, local=fl.SGD(lr=0.1, epochs=1, batch=None, schedule="cosine"), personalise=fl.FineTune())
    state = after(plan, 2)[0]
    assert float(state.model[0]) == pytest.approx(0.125, abs=1e-15)
    assert used(plan, state)[0] == pytest.approx(0.14375, abs=1e-15)


@pytest.mark.parametrize("part", [fl.OwnModel(mu=0.5), fl.Mixture()], ids=lambda p: p.name)
def test_who_never_took_part_uses_the_model_of_all(line, part):
    plan = line(personalise=part, schedule=fl.Lockstep(clients=(0,)), local=fl.SGD(epochs=2, batch=None))
    state = after(plan, 2)[0]
    assert used(plan, state)[1] == float(state.model[0]) != used(plan, state)[0]


# --- FedRep ---------------------------------------------------------------------------------------------------------

class Product(Net):
    """Two weights a = 1 and b = 0: rows [B, 1] -> b a x [B, 1]."""

    name = "product"

    def build(self, inputs, outputs):
        net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
        nn.init.ones_(net[0].weight)
        nn.init.zeros_(net[1].weight)
        return net


AT_HOME = fl.KeepLayers(layers=("1.*",))


def test_fedrep_by_hand(line):
    """With p = a b gradients are (5 p - 1)/2 and p - 2, times a for b and times b for a. From a = 1, b = 0:

    client 0: b = 0.05; then p = 0.05, a = 1 + 0.1 * 0.375 * 0.05 = 1.001875.
    client 1: b = 0.2;  then p = 0.2,  a = 1 + 0.1 * 1.8 * 0.2 = 1.036. The mean is 1.0189375, and b stays at home.
    Both at once (FedPer), b = 0 holds a still. Losses: client 1's are (0 - 2)^2/2 = 2, then (0.2 - 2)^2/2 = 1.62.
    """
    fields = {"net": Product(), "distribute": AT_HOME}
    rep = line(**fields, local=fl.HeadThenBody(lr=0.1, head_epochs=1, epochs=1, batch=None))
    state, ended = after(rep, 1)
    assert float(state.model[0]) == pytest.approx(1.0189375, abs=1e-15)
    assert state.own.gather(BOTH)[:, 0].tolist() == pytest.approx([0.05, 0.2], abs=1e-15)
    assert (ended.bytes_up, ended.bytes_down) == (16, 16)
    # Client 0: ((0 - 1)^2 + 0)/4 = 0.25, then (0.95^2 + 0.1^2)/4 = 0.228125.
    assert ended.train_loss == pytest.approx(((2 + 1.62) / 2 + (0.25 + 0.228125) / 2) / 2)
    assert float(after(line(**fields), 1)[0].model[0]) == 1


def test_fedrep_is_what_freezing_in_pytorch_does():
    x, y = torch.randn(60, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64), torch.arange(60) % 3
    e = fl.Experiment(task=fl.from_arrays(x.numpy(), y.numpy(), name="sixty"), net=fl.MLP(hidden=(5,)), name="rep",
                      partition=fl.IID(clients=2), distribute=fl.KeepLayers(layers=("3.*",)), precision="float64",
                      local=fl.HeadThenBody(lr=0.3, head_epochs=3, epochs=2, batch=None, momentum=0.5))
    plan = prepare(e, world_of(e, torch.device("cpu")))
    state, world = after(plan, 1)[0], plan.world
    bodies = []
    for i in range(2):
        net = fl.MLP(hidden=(5,)).build(world.data.x.shape[1:], 3).double()
        net.load_state_dict(world.layout.views(begin(plan).model))
        rows = slice(int(world.shards.offsets[i]), int(world.shards.offsets[i] + world.shards.train[i]))
        for epochs, layer in ((3, net[3]), (2, net[1])):
            optimiser = torch.optim.SGD(layer.parameters(), lr=0.3, momentum=0.5)
            for _ in range(epochs):
                net.zero_grad()
                nn.functional.cross_entropy(net(world.shards.x[rows]), world.shards.y[rows]).backward()
                optimiser.step()
        head = torch.cat([net[3].weight.detach().flatten(), net[3].bias.detach()])
        assert torch.allclose(state.own.gather(torch.tensor([i]))[0], head, rtol=0, atol=1e-13)
        bodies.append(net[1].weight.detach())
    weights = world.shards.train[:2].double() / world.shards.train[:2].sum()
    mean = sum(w * body for w, body in zip(weights, bodies, strict=True))
    assert torch.allclose(world.layout.views(state.model)["1.weight"], mean, rtol=0, atol=1e-13)


def test_fedrep_without_layers_at_home_says_that_it_is_plain_sgd(line):
    local = fl.HeadThenBody(lr=0.1, head_epochs=5, epochs=1, batch=None)
    assert float(after(line(local=local), 1)[0].model[0]) == pytest.approx(0.125, abs=1e-15)
    for distribute, said in ((fl.Broadcast(), "none does"), (fl.KeepLayers(), "all do")):
        assert [said in note for note in local.remarks(line(local=local, distribute=distribute))] == [True]
    assert not list(local.remarks(line(local=local, net=Product(), distribute=AT_HOME)))


# --- the net of the recipe fedbn ------------------------------------------------------------------------------------

def test_a_cnn_with_norms_can_keep_them_at_home():
    net = fl.CNN(channels=4, hidden=8, groups=2).build(torch.Size([1, 8, 8]), 10)
    assert [type(net[i]) for i in (1, 5)] == [nn.GroupNorm, nn.GroupNorm]
    # By hand: 2 x (4 + 8) numbers scale and shift the channels.
    assert sum(p.numel() for i in (1, 5) for p in net[i].parameters()) == 24
    e = fl.recipe("fedbn")
    assert e.distribute.layers == ("1.*", "5.*")
    with pytest.raises(fl.BadInput, match="net.groups = 3 does not divide net.channels = 8; choose a divisor"):
        fl.CNN(groups=3).build(torch.Size([1, 8, 8]), 10)


# --- refused before the run -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("part", [fl.OwnModel(), fl.Mixture(), fl.FineTune()], ids=lambda p: p.name)
def test_not_with_layers_at_home(line, part):
    with pytest.raises(fl.BadInput, match="distribute = keep_layers there is none.*set distribute to 'broadcast'"):
        line(net=Product(), distribute=AT_HOME, personalise=part)


def test_fine_tuning_is_told_nothing_by_parts_of_fairness():
    with pytest.raises(fl.BadInput, match="fine_tune trains when nobody is asked.*own_model"):
        fl.run(fl.Experiment(task=fl.TwoGaussians(), fairness=fl.Reweigh(), personalise=fl.FineTune(), rounds=1))


def test_what_has_no_step_size_or_takes_no_corrections():
    with pytest.raises(fl.BadInput, match="own_model trains with a pull, and local = private_sgd"):
        fl.Experiment(local=fl.PrivateSGD(), personalise=fl.OwnModel())


# --- a run, read back -----------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def ditto(tmp_path_factory):
    e = fl.recipe("ditto").changed(rounds=4, **{"partition.clients": 12})
    return fl.run(e, out=tmp_path_factory.mktemp("runs") / "ditto", progress=False)


@pytest.fixture(scope="module")
def fedavg(ditto, tmp_path_factory):
    e = ditto.experiment.changed(name="fedavg", personalise=None)
    return fl.run(e, out=tmp_path_factory.mktemp("runs") / "fedavg", progress=False)


def held_out(run, i):
    shards = world_of(run.experiment, torch.device("cpu")).shards
    rows = slice(int(shards.offsets[i] + shards.train[i]), int(shards.offsets[i] + shards.rows[i]))
    return shards.x[rows].numpy(), shards.y[rows].numpy()


def test_models_and_clients_of_a_run_are_their_own(ditto):
    table = ditto.clients
    for i in table.index:
        x, y = held_out(ditto, i)
        assert len(y) == table.held_out[i]
        assert table.accuracy[i] == pytest.approx(np.mean(ditto.predict(x, client=i) == y))
        assert table.shared_accuracy[i] == pytest.approx(np.mean(ditto.predict(x) == y))
    weights = [ditto.model(client=i)[1].weight for i in (None, 0, 1)]
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])


def test_what_is_trained_together_is_as_in_fedavg(ditto, fedavg):
    assert torch.equal(ditto.model()[1].weight, fedavg.model()[1].weight)
    assert list(ditto.clients.shared_accuracy) == list(fedavg.clients.accuracy)


def test_figures_of_the_last_round_are_those_of_its_clients(ditto):
    last, table = ditto.history.iloc[-1], ditto.clients
    gained = table.accuracy - table.shared_accuracy
    assert last.mean_client == pytest.approx(table.accuracy.mean())
    assert [last.gain_mean, last.gain_worst, last.gain_best, last.gain_share] == pytest.approx(
        [gained.mean(), gained.min(), gained.max(), (gained > 0).mean()])


@pytest.mark.parametrize("name", ["ditto", "apfl", "fedrep"])
def test_a_run_that_stopped_goes_on_to_the_same_end(name, tmp_path):
    e = fl.recipe(name).changed(rounds=4, **{"partition.clients": 12})
    whole = fl.run(e, out=tmp_path / "whole", progress=False)
    events = tmp_path / "part" / "events.jsonl"
    part = fl.run(e, out=tmp_path / "part", progress=False, stop=lambda: events.read_text().count("RoundEnded") >= 2)
    assert part.status == "stopped" and len(part.history) == 2
    part = part.resume(progress=False)
    assert part.status == "finished" and list(part.history.mean_client) == list(whole.history.mean_client)
    assert torch.equal(part.model(client=3)[1].weight, whole.model(client=3)[1].weight)


# --- who gains ------------------------------------------------------------------------------------------------------

def test_the_gains_are_rows_of_the_clients(ditto, fedavg):
    figure = gains(ditto)
    table = figure.data
    assert list(table.gain) == sorted(table.gain, reverse=True)
    assert table.rows.sum() == pytest.approx(
        ((ditto.clients.accuracy - ditto.clients.shared_accuracy) * ditto.clients.held_out).sum())
    assert table.gain.mean() == pytest.approx(ditto.history.gain_mean.iloc[-1])
    # The model of all is FedAvg's here, so that holding the run against FedAvg's comes to the same.
    assert gain_table(ditto, against=fedavg).equals(table)
    names = [t.name for t in figure.figure.data if t.name]
    counted = [int((np.sign(table.rows) == sign).sum()) for sign in (1, 0, -1)]
    assert [int(name.split()[2]) for name in names if name.startswith("its own")] == [n for n in counted if n]
    assert f"{100 * table.gain.mean():+.1f}".replace("-", "−") in figure.figure.layout.xaxis.title.text
    beside = [a.text for a in figure.figure.layout.annotations]
    assert beside[0] == f"{table.rows[0]:+d} of {table.n[0]}" and len(beside) == len(table)


def test_where_there_is_nothing_to_hold_them_against(ditto, fedavg, tmp_path):
    with pytest.raises(fl.BadInput, match="no models of clients' own"):
        gains(fedavg)
    kept = fl.run(fl.recipe("fedper").changed(rounds=2, **{"partition.clients": 12}), out=tmp_path / "kept",
                  progress=False)
    with pytest.raises(fl.BadInput, match="some layers stay at home.*against="):
        gains(kept)
    found = gain_table(kept, against=fedavg).set_index("client")
    one = kept.clients.index[0]
    assert found.own[f"client {one}"] == kept.clients.accuracy[one]
    assert found.shared[f"client {one}"] == fedavg.clients.accuracy[one]
    other = fl.run(kept.experiment.changed(seed=1), out=tmp_path / "other", progress=False)
    with pytest.raises(fl.BadInput, match="has other clients"):
        gains(other, against=fedavg)
    assert all(map(math.isfinite, found.gain))
