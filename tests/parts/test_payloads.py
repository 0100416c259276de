"""What is sent need not be what is combined: payloads that are replayed, columns that take turns, downloads that depend
on what a client knows. By hand on one weight, and on two tensors in turn."""

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import wire
from fedlab_widgets.engine import advance
from fedlab_widgets.executors import OneByOne, Stacked
from fedlab_widgets.forecast import forecast
from fedlab_widgets.layout import Columns
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.slots import Local
from fedlab_widgets.types import Block, Memory, Space, Table, Trained, never
from fedlab_widgets.world import world_of


class Seeded(Local):
    """Sends two numbers, (id + 1) and 10, of which the receiver makes the first over the second."""

    name = "seeded"

    def gives(self, world):
        return Space((Block("update", 2),))

    def meant(self, world):
        return Space((Block("update", 1),))

    def steps_of(self, sizes, largest):
        return sizes * 0 + 1

    def train(self, world, start, cohort, mine, keys, tamper, stop):
        ids = cohort.ids.to(start)[:, None]
        rows = torch.cat([ids + 1, torch.full_like(ids, 10)], dim=1)
        return Trained(start.clone(), start.new_zeros(len(start)), {"update": rows})

    def replay(self, world, rows, cohort, memory):
        assert len(rows) == len(cohort) <= 16
        return rows[:, :1] / rows[:, 1:]


class Messages(fl.Distribute):
    """Who never came downloads 100 bytes, others what was sent since they came: counted in whole messages."""

    name, certain = "messages", False

    def init(self, world, shared):
        return Memory({"known": Table(world.clients, torch.full((1,), -1.0))}, {"server_total": torch.zeros(1)})

    def start(self, world, state, ids):
        return state.model.expand(len(ids), -1)

    def downloads(self, plan, state, cohort):
        mine = state.memory["distribute"]
        known = mine.own["known"].gather(cohort.ids)[:, 0]
        return int(torch.where(known < 0, 100.0, mine.shared["server_total"] - known).sum())

    def after(self, world, state, ids, model, rows, shared, sent):
        total = state.memory["distribute"].shared["server_total"] + sent.sum()
        return None, Memory({"known": total.expand(len(ids), 1)}, {"server_total": total})


class Turns(fl.SGD):
    """The first columns in odd rounds, the others in even ones."""

    name, in_turn = "turns", True

    def travels(self, world, state):
        P = world.sent.width
        return Columns(((0, 640),) if state.round % 2 == 0 else ((640, P),), P)


def go(plan, rounds, executor=None):
    states, said = [begin(plan)], []
    for _ in range(rounds):
        state, events = advance(plan, states[-1], executor or Stacked(2), never)
        states.append(state)
        said.append(events[-1])
    return states, said


@pytest.mark.parametrize("executor", [Stacked(2), OneByOne()], ids=repr)
def test_the_receiver_makes_of_payloads_what_is_combined(line, executor):
    # Clients 0 and 1 send (1, 10) and (2, 10): 0.1 and 0.2. Their mean is 0.15; two numbers of 8 bytes each go up.
    states, said = go(line(local=Seeded()), 2, executor)
    assert [float(s.model[0]) for s in states] == pytest.approx([0, 0.15, 0.3])
    assert [s.bytes_up for s in said] == [32, 32]


def test_liars_lie_about_payloads_and_bounds_see_what_is_meant(line):
    # A liar that flips the sign of both numbers changes nothing: the ratio stays.
    flipped = line(local=Seeded(), attack=fl.SignFlip(liars=(0,), scale=1.0))
    assert float(go(flipped, 1)[0][1].model[0]) == pytest.approx(0.15)
    # A bound of 0.1 on what is meant cuts 0.2 to 0.1; on what was sent it would cut nothing.
    bounded = line(local=Seeded(), aggregate=fl.NormClipping(bound=0.1))
    assert float(go(bounded, 1)[0][1].model[0]) == pytest.approx(0.1)


def test_downloads_may_depend_on_what_a_client_knows(line):
    # Both are new in round 1: 200 bytes. They then know all 32 bytes that were sent until then: nothing is due in 2.
    _, said = go(line(local=Seeded(), distribute=Messages()), 2)
    assert [s.bytes_down for s in said] == [200, 0]


def test_columns_take_turns():
    e = fl.Experiment(task=fl.Digits(), net=fl.Logistic(), partition=fl.IID(clients=3), local=Turns(), rounds=4,
                      server=fl.Momentum(beta=0.5), evaluate=fl.Evaluation(readings=(fl.Accuracy(),)))
    plan = prepare(e, world_of(e, torch.device("cpu")))
    assert plan.world.sent.width == 650, "ten rows of 64 weights, and ten biases"
    states, said = go(plan, 4)
    weights, biases = ([s.model[a:b] for s in states] for a, b in ((0, 640), (640, 650)))
    moved = [(not torch.equal(weights[i], weights[i + 1]), not torch.equal(biases[i], biases[i + 1]))
             for i in range(4)]
    assert moved == [(True, False), (False, True)] * 2
    u = [s.memory["server"].shared["u"] for s in states]
    assert not u[1][640:].any() and torch.equal(u[2][:640], u[1][:640]), "the server's memory takes turns as well"
    # The second time: u = 0.5 u + d, and the weights go by u; what they went by is 0.5 (what they went by first) + d.
    d = (weights[3] - weights[2]) - 0.5 * (weights[1] - weights[0])
    assert torch.allclose(u[3][:640], 0.5 * u[1][:640] + d, atol=1e-7)
    assert [s.bytes_up for s in said] == [3 * 640 * 4, 3 * 10 * 4] * 2
    assert forecast(e).bytes_up == 2 * 3 * 650 * 4 and forecast(e).exact


def test_what_a_codec_remembers_is_cut_and_put_back():
    # Of (5, 1 | 2, 7) the last two travel; the largest of them goes out, the other joins its residual.
    space, columns = Space((Block("update", 4),)), Columns(((2, 4),), 4)
    mine = Memory({"residual": torch.tensor([[1.0, 1, 1, 1]])})
    payload, after = wire.encoded(fl.TopK(fraction=0.5), torch.tensor([[5.0, 1, 2, 7]]), space, torch.tensor([0]), mine,
                                  columns)
    assert after.own["residual"].tolist() == [[1, 1, 3, 0]] and payload.bytes.tolist() == [8]
    came = wire.decoded(fl.TopK(fraction=0.5), payload.tensors, space, torch.float32, columns)
    assert came.tolist() == [[0, 0, 0, 8]]


def test_a_cut_row_names_the_tensors_that_lie_in_it_whole():
    space = Space((Block("update", 6, shapes=((2, 2), (2,))), Block("control", 3)))
    first, control = wire.cut(space, Columns(((4, 8),), 9)).blocks
    assert (first.width, first.shapes, control.width) == (2, ((2,),), 2)
    assert wire.cut(space, Columns(((1, 6),), 9)).blocks[0].shapes == ()
    assert wire.cut(space, None) is space and wire.cut(space, Columns((), 9)).width == 0
