"""Rows to rows: a model for each client, work that is not in step, clients that are shut out. By hand on one weight."""

import pytest
import torch
from safetensors.torch import load, save

import fedlab_widgets as fl
from fedlab_widgets.aggregate.rows import gathered
from fedlab_widgets.engine import advance
from fedlab_widgets.executors import OneByOne, Stacked
from fedlab_widgets.forecast import forecast
from fedlab_widgets.plan import begin, models
from fedlab_widgets.store import flatten, unflatten
from fedlab_widgets.types import Cohort, Combined, Memory, Table, View, never

BOTH = torch.tensor([0, 1])


class Swap(fl.Aggregate):
    """Everyone gets the next one's model."""

    name, of_models, returns_rows = "swap", True, True

    def combine(self, world, total, weights, expected, cohort, mine):
        rows = gathered(total)
        return Combined(rows.mean(0), rows.flip(0)), mine

    def links(self, world, round, ids):
        return torch.full_like(ids, 3)

    def shows(self, plan, state, cohort):
        return {"who": View("lines", "Who", "who came", labels=("first",), values=(float(cohort.ids[0]),))}


class Half(fl.Aggregate):
    """Everyone keeps half of its change, and downloads 5 or 7 bytes for it."""

    name, returns_rows = "half", True

    def combine(self, world, total, weights, expected, cohort, mine):
        rows = gathered(total)
        return Combined(rows.sum(0), rows / 2, torch.tensor([5, 7])), mine

    def sends_back(self, world):
        return None


class Public(Swap):
    """The same, where all know what a client said last."""

    name = "public"

    def init(self, world, space):
        return Memory({"public": Table(world.clients, torch.full((space.width,), 1.0, dtype=world.dtype))})

    def combine(self, world, total, weights, expected, cohort, mine):
        return super().combine(world, total, weights, expected, cohort, mine)[0], Memory({"public": gathered(total)})


class Once(fl.Aggregate):
    """Who came once does not come again."""

    name, excludes = "once", True

    def init(self, world, space):
        return Memory({"excluded": Table(world.clients, torch.zeros(1))})

    def combine(self, world, total, weights, expected, cohort, mine):
        return gathered(total).mean(0), Memory({"excluded": (cohort.ids[:, None] == 1).float()})


class InTurns(fl.Schedule):
    """Client 0 in rounds 1, 3, …, client 1 in the others."""

    name = "in_turns"

    @property
    def certain(self):
        return True

    def eligible(self, clients):
        return range(clients)

    def rate(self, clients):
        return 1 / clients

    def asked(self, clients):
        return 1

    def sampling(self, clients):
        return None

    def next(self, world, state):
        ids = torch.tensor([state.round % 2])
        return Cohort(state.round + 1, ids, world.shards.train[ids], torch.ones(1, dtype=torch.float64), ids * 0, 1,
                      state.time + 0.5), Memory()


def go(plan, rounds, executor=None):
    state, said = begin(plan), []
    for _ in range(rounds):
        state, events = advance(plan, state, executor or Stacked(2), never)
        said.append(events[-1])
    return state, said


def test_each_client_goes_on_from_what_came_back(line):
    # From 0 client 0 goes to 0.05 and client 1 to 0.2; swapped. Client 0 at 0.2: its gradient (5 x 0.2 - 1)/2 is 0.
    # Client 1 at 0.05 goes by 0.1 x 1.95 to 0.245. Swapped again; the model of all is their mean.
    p = line(aggregate=Swap(), distribute=fl.OwnModels())
    for executor in (Stacked(2), OneByOne()):
        state, said = go(p, 2, executor)
        assert state.own.gather(BOTH)[:, 0].tolist() == pytest.approx([0.245, 0.2])
        assert float(state.model[0]) == pytest.approx(0.2225)
        assert said[1].update_norm == pytest.approx(0.2225 - 0.125)
    # One weight of 8 bytes: each sends it over three links, and gets one back; nothing is downloaded before.
    assert (said[0].bytes_up, said[0].bytes_down) == (48, 16)
    assert models(p, state, BOTH)[:, 0].tolist() == pytest.approx([0.245, 0.2])


def test_rows_of_changes_are_added_to_what_each_started_from(line):
    # Round 1: changes 0.05 and 0.2, of which half stays: 0.025 and 0.1. Round 2: client 0 by 0.1 (1 - 0.125)/2, which
    # is 0.04375, client 1 by 0.19; half of them: 0.046875 and 0.195.
    p = line(aggregate=Half(), distribute=fl.OwnModels())
    state, said = go(p, 2)
    assert state.own.gather(BOTH)[:, 0].tolist() == pytest.approx([0.046875, 0.195])
    assert float(state.model[0]) == pytest.approx(0.25 + 0.23375)   # the sums of changes
    assert [s.bytes_down for s in said] == [12, 12]


def test_updates_go_out_against_what_everybody_knows(line):
    # All know 1 of each client. It sends 0.05 - 1 and 0.2 - 1; with half of each entry lost on the way, as by this
    # codec, 1 - 0.95/2 = 0.525 and 1 - 0.8/2 = 0.6 arrive. Then known: 0.525 and 0.6, and they come back swapped.
    class Halves(fl.Encode):
        name = "halves"

        def wire(self, space, dtype):
            return {"values": (space.width, dtype)}

        def encode(self, rows, space, keys, mine):
            return {"values": rows / 2}, mine

        def decode(self, arrays, space):
            return arrays["values"]

    p = line(aggregate=Public(), distribute=fl.OwnModels(), encode=Halves())
    state, _ = go(p, 1)
    assert state.memory["aggregate"].own["public"].gather(BOTH)[:, 0].tolist() == pytest.approx([0.525, 0.6])
    assert state.own.gather(BOTH)[:, 0].tolist() == pytest.approx([0.6, 0.525])


def test_independent_beginnings_differ_and_do_not_move_with_torchs_numbers():
    e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=3), aggregate=Swap(), rounds=1,
                      distribute=fl.OwnModels(begin="independent"))
    from fedlab_widgets.plan import prepare
    from fedlab_widgets.world import world_of
    p = prepare(e, world_of(e, torch.device("cpu")))
    ids = torch.arange(3)
    first = begin(p).own.gather(ids)
    torch.manual_seed(99)
    assert torch.equal(first, begin(p).own.gather(ids))
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[0], begin(p).model)
    assert float(first.std()) == pytest.approx(float(begin(p).model.std()), rel=0.1)


def test_one_row_for_all_is_refused(line):
    with pytest.raises(fl.BadInput, match="distribute = own_models .* aggregate = mean makes one row for all"):
        line(distribute=fl.OwnModels())


def test_clients_work_on_what_they_were_last_sent(line):
    # Round 1: client 0 from 0 by 0.05. Round 2: client 1 was last sent the model 0: by 0.2, to 0.25. Round 3: client 0
    # was last sent 0.05: by 0.1 (1 - 0.25)/2 = 0.0375, to 0.2875; with the newest model it would move by -0.0125 / 10.
    p = line(schedule=InTurns(), distribute=fl.LastSent())
    state, said = go(p, 3)
    assert float(state.model[0]) == pytest.approx(0.2875)
    assert state.own.gather(BOTH)[:, 0].tolist() == pytest.approx([0.2875, 0.25])
    assert said[2].time == 1.5 and said[2].bytes_down == 8


def test_and_what_else_they_were_told_is_as_old(line):
    # SCAFFOLD in one step: c_i becomes the gradient that was met. Round 1: c_0 = -0.5, c = -0.25. Client 1 set out
    # before that, with c = 0, and so goes by 0.2, not by 0.1 (2 + 0.25) = 0.225.
    p = line(schedule=InTurns(), distribute=fl.LastSent(),
             local=fl.SGD(lr=0.1, epochs=1, batch=None, correct=(fl.ControlVariate(),)))
    state, _ = go(p, 2)
    assert float(state.model[0]) == pytest.approx(0.25)
    assert state.memory["distribute"].own["0.c"].gather(BOTH)[:, 0].tolist() == pytest.approx([-0.25, -1.25])


def test_who_is_shut_out_is_not_asked(line):
    state, said = go(line(aggregate=Once()), 2)
    assert [s.cohort for s in said] == [[0, 1], [0]] and said[1].bytes_down == 8


def test_a_snapshot_holds_all_of_it(line):
    p = line(aggregate=Public(), distribute=fl.OwnModels())
    state, _ = go(p, 2)
    about = {"round": "2", "time": "2.0", "trips": "4"}
    back = unflatten(load(save({k: t.contiguous() for k, t in flatten(state).items()})), about, begin(p))
    one, two = (advance(p, s, Stacked(2), never)[0] for s in (state, back))
    assert torch.equal(one.own.gather(BOTH), two.own.gather(BOTH)) and torch.equal(one.model, two.model)


def test_views_are_recorded_when_a_round_is_read(line):
    p = line(aggregate=Swap(), distribute=fl.OwnModels(), rounds=3, evaluate=fl.Evaluation(every=2))
    state, said = begin(p), []
    for _ in range(3):
        state, events = advance(p, state, Stacked(2), never)
        said += [e for e in events if type(e).__name__ == "Shown"]
    assert [e.round for e in said] == [2, 3] and said[0].views["who"]["values"] == (0.0,)


def test_the_forecast_counts_links_and_what_comes_back(line):
    p = line(aggregate=Swap(), distribute=fl.OwnModels(), rounds=2)
    due = forecast(p.experiment, "cpu")
    assert (due.bytes_up, due.bytes_down, due.exact) == (96, 32, True)
    assert not forecast(line(aggregate=Half(), distribute=fl.OwnModels(), rounds=2).experiment, "cpu").exact
