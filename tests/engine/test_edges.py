"""The edges of a run: nobody takes part, one client, numbers that run away, being told to stop."""

import json
import warnings

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import engine, seeds
from fedlab_widgets.events import Failed, RoundEnded, Stopped, Warned
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.session import one_thread
from fedlab_widgets.world import world_of

SCAFFOLD = {"local": fl.SGD(batch=16, correct=(fl.ControlVariate(),)), "aggregate": fl.Mean(weights="uniform")}


def models(steps):
    return {state.round: state.model for _, state in steps if state is not None}


# Nobody, one client.

def rare(some, **fields):
    return some(partition=fl.Dirichlet(clients=6, alpha=0.4), rounds=12, precision="float64",
                evaluate=fl.Evaluation(every=100), schedule=fl.Lockstep(sampler=fl.Poisson(q=0.15)), **fields)


@pytest.mark.parametrize("fields", [{}, {"aggregate": fl.Median()}, {"encode": fl.TopK()}, SCAFFOLD,
                                    {"attack": fl.SignFlip()}, {"server": fl.Adaptive()},
                                    {"distribute": fl.KeepLayers(layers=("1.*",))}], ids=str)
def test_a_round_with_nobody_is_skipped_with_a_word(some, played, fields):
    plan, steps = played(rare(some, **fields), fl.Stacked(4))
    model, events = models(steps) | {0: begin(plan).model}, [event for event, _ in steps]
    ended = [event for event in events if isinstance(event, RoundEnded)]
    empty = [event.round for event in ended if not event.cohort]
    assert 0 < len(empty) < 12 and [event.round for event in ended] == list(range(1, 13))
    told = [w.round for w in events if isinstance(w, Warned) and "nobody took part" in w.text]
    assert told == empty
    for event in ended:
        if event.round in empty:
            assert torch.equal(model[event.round], model[event.round - 1])
            assert event.bytes_up == event.bytes_down == 0
            assert event.train_loss is None and event.update_norm is None
        elif "distribute" not in fields:
            assert not torch.equal(model[event.round], model[event.round - 1])
    assert events[-1] == Stopped(12, "finished")


def test_an_empty_private_round_releases_noise_only(some, played):
    e = rare(some, privatise=fl.Gaussian(clip=0.5, noise_multiplier=0.8, delta=1e-5),
             aggregate=fl.Mean(weights="uniform", denominator="expected"))
    plan, steps = played(e, fl.Stacked(4))
    model = models(steps) | {0: begin(plan).model}
    ended = {event.round: event for event, _ in steps if isinstance(event, RoundEnded)}
    empty = [r for r, event in ended.items() if not event.cohort]
    assert empty and not any(isinstance(event, Warned) and "nobody" in event.text for event, _ in steps)
    for r in empty:
        noise = seeds.normals(plan.world.keys("privacy noise", r, 0), plan.world.layout.real.width, torch.float64)
        due = plan.world.layout.real.put(0.8 * 0.5 * noise / (0.15 * 6))
        assert torch.allclose(model[r], model[r - 1] + due, rtol=0, atol=1e-15)
        assert ended[r].epsilon > (ended[r - 1].epsilon if r > 1 else 0)      # and is paid for
    assert float(due.abs().max()) > 0.1


@pytest.mark.parametrize("fields", [{}, {"aggregate": fl.Median()}, SCAFFOLD], ids=["mean", "median", "c"])
def test_one_client(some, played, fields):
    """Whatever is combined of one row is that row: the model is the client's own end."""
    e = some(partition=fl.IID(clients=1), schedule=fl.Lockstep(), precision="float64", rounds=1, **fields)
    plan, steps = played(e, fl.Stacked(4))
    state = begin(plan)
    cohort = e.schedule.next(plan.world, state)[0]
    with one_thread():
        trained = e.local.train(plan.world, state.model[None], cohort, state.memory["local"].of(cohort.ids),
                                plan.world.keys("training", 1, cohort.ids), None, lambda: False)
    assert torch.allclose(steps[-1][1].model, trained.end[0], rtol=0, atol=1e-14)
    assert any(isinstance(event, Warned) for event, _ in steps) == isinstance(e.aggregate, fl.Median)


# Numbers that run away, and being told to stop.

def exploding(some):
    """Every step multiplies the weights by 1 - 10 = -9: 9^30 after one round is still a number, 9^60 is none."""
    return some(net=fl.Logistic(), local=fl.SGD(lr=1.0, weight_decay=10.0, steps=30, batch=4), rounds=5)


def test_an_exploding_run_ends_in_failed_and_keeps_its_rounds(some, played):
    plan, steps = played(exploding(some), fl.Stacked(4))
    failed, state = steps[-1]
    assert isinstance(failed, Failed) and failed.round == 1
    assert "round 2" in failed.text and "local.lr" in failed.text and "local.clip" in failed.text
    ended = [event for event, _ in steps if isinstance(event, RoundEnded)]
    assert [event.round for event in ended] == [1]
    assert state.round == 1 and bool(torch.isfinite(state.model).all()) and float(state.model.abs().max()) > 1e20
    for event, _ in steps:
        json.loads(event.to_json(), parse_constant=lambda word: pytest.fail(f"{word} in an event"))


def test_the_folder_of_an_exploded_run_keeps_its_rounds(some, tmp_path):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        run = fl.run(exploding(some), out=tmp_path / "run", progress=False)
    assert run.status == "failed" and "local.lr" in run.reason and len(run.history) == 1
    assert any("local.lr" in str(w.message) for w in told)
    assert all(bool(torch.isfinite(p).all()) for p in run.model().parameters())
    again = fl.open_run(tmp_path / "run")
    assert again.status == "failed" and len(again.history) == 1


@pytest.mark.parametrize("layers", [("*",), ("1.weight",)])
def test_layers_that_stay_at_home_may_not_run_away_either(some, played, layers):
    e = exploding(some).changed(distribute=fl.KeepLayers(layers=layers))
    _, steps = played(e, fl.Stacked(4))
    failed, state = steps[-1]
    assert isinstance(failed, Failed) and failed.round == 1
    assert bool(torch.isfinite(state.own.touched).all()), "the state after the last good round"


def copied(state):
    """Every number of a state."""
    tensors = {"model": state.model, "round": torch.tensor([state.round, state.trips, state.time])}
    tables = {} if state.own is None else {"own": state.own}
    for place, memory in state.memory.items():
        tensors |= {f"{place}.{name}": t for name, t in memory.shared.items()}
        tables |= {f"{place}.{name}": t for name, t in memory.own.items()}
    for name, table in tables.items():
        tensors[name] = table.gather(torch.arange(len(table.place)))
    return {name: t.clone() for name, t in tensors.items()}


STOPPING = SCAFFOLD | {"encode": fl.TopK(fraction=0.3), "server": fl.Adaptive(), "rounds": 3,
                                  "distribute": fl.KeepLayers(layers=("3.*",))}


def test_a_stop_drops_the_round_in_flight(some, played):
    """Stopped at every single look at the flag: the state is that of the round before, and going on gives the bits of
    the run that nobody stopped."""
    e = some(**STOPPING)
    looks, at_round = 0, []
    reference = {}
    plan = prepare(e, world_of(e, torch.device("cpu")))

    def count():
        nonlocal looks
        looks += 1
        return False

    with one_thread():
        for event, state in engine.rounds(plan, begin(plan), fl.Stacked(3), count):
            if state is not None:
                reference[state.round] = copied(state)
            if isinstance(event, RoundEnded):
                at_round.append(looks)
    reference[0] = copied(begin(plan))
    assert looks >= 3 * (1 + 3), "the flag is looked at before every round and in every chunk"
    assert at_round[0] < at_round[1] < at_round[2]
    for k in range(1, looks + 1):
        left = iter(range(k - 1))
        _, steps = played(e, fl.Stacked(3), stop=lambda left=left: next(left, None) is None)
        last, state = steps[-1]
        done = sum(k > n for n in at_round)
        assert last == Stopped(done, "stopped"), f"look {k}"
        assert [event.round for event, _ in steps if isinstance(event, RoundEnded)] == list(range(1, done + 1))
        found = copied(state)
        assert all(torch.equal(found[name], reference[done][name]) for name in reference[done]), f"look {k}"
    _, rest = played(e, fl.Stacked(3), state=state)     # the last one was stopped inside the last round
    found = copied(rest[-1][1])
    assert all(torch.equal(found[name], reference[3][name]) for name in found)


def test_a_stop_inside_a_client(some, played):
    """One client with many steps: the flag is looked at every few of them, not only between chunks."""
    e = some(partition=fl.IID(clients=1), schedule=fl.Lockstep(), local=fl.SGD(steps=100), rounds=1)
    looks = []
    played(e, fl.Stacked(1), stop=lambda: looks.append(1))
    assert len(looks) > 10
