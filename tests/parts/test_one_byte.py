"""Just One Byte: slopes as bytes, and clients that rebuild the same model, bit for bit, from each other's messages."""

import math
from functools import partial

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import seeds, wire
from fedlab_widgets.distribute import Relayed
from fedlab_widgets.encode import LogByte
from fedlab_widgets.engine import advance
from fedlab_widgets.executors import Stacked
from fedlab_widgets.local import ForwardGradients
from fedlab_widgets.phases import blocks_of, client_half, server_half
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.recipes.ferret import ferret
from fedlab_widgets.recipes.one_byte import one_byte
from fedlab_widgets.schedule import ComeAndGo, Lockstep
from fedlab_widgets.server import Momentum
from fedlab_widgets.types import Block, Memory, Space, State, never
from fedlab_widgets.world import world_of


def plan_of(e, **changes):
    e = e.changed(**changes)
    return prepare(e, world_of(e, torch.device("cpu")))


def after_rounds(plan, rounds):
    """(state, bytes up, bytes down, ids) of each round."""
    state, found = begin(plan), []
    for _ in range(rounds):
        state, events = advance(plan, state, Stacked().settled(plan.world), never)
        found.append((state, events[-1].bytes_up, events[-1].bytes_down, events[-1].cohort))
    return found


# --- a byte ---------------------------------------------------------------------------------------------------------

def test_a_byte_by_hand():
    """ln 1 = 0 is 8 x 4 = 32 and exact. ln 2 = 0.693 is 37.5 + 0.04, so 38, e^0.75 = 2.117; minus sets the highest bit:
    166. Zero and 0.001 (-23.3) are 0, e^-4 = 0.0183; a billion is 127, e^11.875 = 143,630."""
    where, codec = Space((Block("update", 5),)), LogByte()
    rows = torch.tensor([[1.0, -2.0, 0.0, -0.001, 1e9]])
    arrays, _ = codec.encode(rows, where, torch.zeros(1, dtype=torch.int64), Memory())
    assert arrays["codes"].tolist() == [[32, 166, 0, 128, 127]]
    arrived = codec.decode(arrays, where)
    assert torch.allclose(arrived, torch.tensor([[1, -2.11700, 0.0183156, -0.0183156, 143_630]]), rtol=1e-5)
    payload = codec.payload(arrays, where, torch.float32)
    assert codec.pack(payload, 0) == bytes([32, 166, 0, 128, 127]) and payload.bytes.tolist() == [5]
    with pytest.raises(FloatingPointError):
        codec.encode(rows / 0, where, torch.zeros(1, dtype=torch.int64), Memory())


def test_a_byte_is_right_within_a_sixteenth_of_a_logarithm():
    """Half a step of 1/8: e^(1/16) = 1.0645 to one side, e^(-1/16) = 0.9394 to the other; both are nearly reached."""
    x = torch.logspace(-1.7, 5.1, 4000, dtype=torch.float64)[None]
    where, codec = Space((Block("update", 4000),)), LogByte()
    ratio = codec.decode(codec.encode(x, where, None, Memory())[0], where) / x
    assert 0.9394 < float(ratio.min()) < 0.9396 and 1.0643 < float(ratio.max()) < 1.0645
    small = LogByte(low=-17.8)
    ratio = small.decode(small.encode(x * 1e-6, where, None, Memory())[0], where) / (x * 1e-6)
    assert float((ratio.log().abs()).max()) < 1 / 16 + 1e-9


# --- slopes ---------------------------------------------------------------------------------------------------------

def test_slopes_and_their_replay_on_one_weight(line):
    """Of (w - 1)^2 / 2 and (w - 2)^2 / 2 at w = 0 the slopes along z are -z and -2 z: two-sided differences of
    parabolas are exact. The step is lr / 3 sum_s z_s^2 of a client, twice that of the other; the model is the mean."""
    plan = line(rows=((1.0, 1, 0), (1.0, 2, 1)), local=ForwardGradients(count=3, lr=0.1, epsilon=0.5, batch=2))
    world, state = plan.world, begin(plan)
    cohort, _ = plan.experiment.schedule.next(world, state)
    keys = world.keys("forward gradient", 1, cohort.ids)
    z = torch.stack([seeds.normals(seeds.fold(keys, s), 1, torch.float64)[:, 0] for s in range(3)], 1)   # [2, 3]
    sent = client_half(plan, state, never, cohort)
    slopes = sent.payload.tensors["values"]
    assert torch.allclose(slopes, -torch.tensor([[1.0], [2.0]], dtype=torch.float64) * z)
    steps = 0.1 / 3 * (z.square().sum(1) * torch.tensor([1.0, 2.0]))
    state, _ = advance(plan, state, Stacked().settled(world), never)
    assert float(world.sent.take(state.model)) == pytest.approx(float(steps.mean()))
    assert torch.allclose(state.memory["local"].own["slopes"].gather(cohort.ids), slopes)
    shown, sizes = plan.experiment.local.shows(plan, state, cohort)["slopes"].values, slopes.abs()
    assert shown[0] == pytest.approx(float(sizes.min())) and shown[-1] == pytest.approx(float(sizes.max()))


def test_no_two_slopes_share_a_direction():
    plan = plan_of(one_byte.experiment)
    local, world = plan.experiment.local, plan.world
    seen = []
    for round in (1, 2):
        cohort = plan.experiment.schedule.next(world, State(begin(plan).model, round=round - 1))[0]
        seen += [local._direction(world, cohort, s) for s in range(4)]
    z = torch.cat([world.sent.take(d) for d in seen])   # 2 rounds x 4 samples x 4 machines of 4810 numbers
    assert len(z) == 32
    like = (z @ z.T / 4810 - torch.eye(32)).abs().max()
    assert float(like) < 6 / math.sqrt(4810) and float(z.std()) == pytest.approx(1, abs=0.01)


# --- who is there ---------------------------------------------------------------------------------------------------

def test_machines_come_and_go():
    """Of 5, one (0.2) joins in round 3 of 6 and another leaves after round 4: 4, 4, 5, 5, 4, 4; the mean is 26/30."""
    sampler = ComeAndGo(period=6, join=3, leave=4)
    there = [sampler.draw(5, round, None).tolist() for round in range(1, 8)]
    assert there == [[0, 1, 2, 3]] * 2 + [[0, 1, 2, 3, 4]] * 2 + [[1, 2, 3, 4]] * 2 + [[0, 1, 2, 3]]
    assert sampler.rate(5) == pytest.approx(26 / 30)
    assert [sampler.draw(1, t, None).tolist() for t in (1, 6)] == [[0], [0]]


# --- catching up ----------------------------------------------------------------------------------------------------

def absent(**more):
    """Three machines with messages of 4 bytes; number 0 is there in rounds 1 and 4."""
    return dict(partition=fl.IID(clients=3),
                schedule=Lockstep(sampler=ComeAndGo(period=3, late=0, early=0.34, leave=1)), **more)


def test_catching_up_by_hand():
    """Round 1: nothing has been said. Round 2: 1 and 2 each hear two messages, 16 bytes in all. Round 3: each the
    other's alone, 8. Round 4: they 8, and number 0 all of 3 + 2 + 2 messages but its own, 24."""
    plan = plan_of(one_byte.experiment, **absent())
    assert [(up, down, ids) for _, up, down, ids in after_rounds(plan, 4)] == [
        (12, 0, [0, 1, 2]), (8, 16, [1, 2]), (8, 8, [1, 2]), (12, 32, [0, 1, 2])]
    state, far = after_rounds(plan, 3)[-1][0], plan.experiment.distribute
    assert far.shows(plan, state, None)["catch-up"].values == (24.0, 4.0, 4.0)
    assert far.missing(state, torch.arange(3)).tolist() == [24, 4, 4]
    lost = plan.experiment.schedule.next(plan.world, state)[0]
    lost = type(lost)(**{**vars(lost), "invited": len(lost) + 2})
    assert far.downloads(plan, state, lost) == 32 + 2 * 19_240   # who drops out is billed a model


def test_the_model_is_sent_where_it_is_shorter_or_was_never_known():
    """A model takes 4 x 4810 = 19,240 bytes. Whole updates are as long: of two missed messages one model is the
    shorter, one missed message is as long. Who does not know the first model is sent one, then hears messages."""
    plan = plan_of(one_byte.experiment, **absent(local=fl.SGD(lr=0.1, steps=1, batch=8), encode="update"))
    assert [down for _, _, down, _ in after_rounds(plan, 4)] == [n * 19_240 for n in (0, 2, 2, 3)]
    plan = plan_of(one_byte.experiment, **absent(distribute=Relayed(known=False)))
    assert [down for _, _, down, _ in after_rounds(plan, 3)] == [3 * 19_240, 16, 8]


def test_what_messages_cannot_tell_is_refused():
    e = one_byte.experiment
    with pytest.raises(fl.BadInput, match="weighs clients by their training rows.*'uniform'"):
        e.changed(aggregate=fl.Mean())
    with pytest.raises(fl.BadInput, match="adds noise at the server"):
        e.changed(privatise=fl.Gaussian(), schedule="lockstep",
                  aggregate=fl.Mean(weights="uniform", denominator="expected"))


# --- replicas -------------------------------------------------------------------------------------------------------

def messages(plan, state):
    """What the clients of the next round put on the wire, as bytes."""
    cohort, _ = plan.experiment.schedule.next(plan.world, state)
    sent = Stacked(2).map(partial(client_half, plan, state, never), cohort)
    return [wire.packed(plan.experiment.encode, s.payload, plan.space, i) for s in sent for i in range(len(s.loss))]


class Replica:
    """A machine that has the first model and hears bytes: no state of the run's reaches it."""

    def __init__(self, plan):
        self.plan, self.state = plan, begin(plan)

    def hear(self, said):
        e, world = self.plan.experiment, self.plan.world
        cohort, clock = e.schedule.next(world, self.state)
        payload = wire.unpacked(e.encode, said, self.plan.space, world.dtype)
        rows = wire.decoded(e.encode, payload.tensors, self.plan.space, world.dtype)
        combined, _, _ = server_half(self.plan, self.state, iter([rows]), cohort)
        value = e.local.settle(world, blocks_of(self.plan, combined, self.state), self.state.memory["local"], 1.0)
        model, server = e.server.step(world, self.state, value, self.state.memory["server"])
        memory = self.state.memory | {"server": server, "schedule": clock}
        self.state = State(model, None, memory, cohort.round, cohort.time)


CHANGES = {"one byte": (one_byte, {"schedule": Lockstep(sampler=ComeAndGo(period=6, join=3, leave=4))}),
           "one byte, server momentum": (one_byte, {"server": Momentum()}),
           "projections": (ferret, {"encode.count": 32}),
           "projections, float64": (ferret, {"encode.count": 32, "precision": "float64"})}


@pytest.mark.parametrize("name", CHANGES)
def test_replicas_end_at_the_same_bits(name):
    """One hears every round as it is; one joins after the last and replays all messages, in their order."""
    from_book, changes = CHANGES[name]
    plan = plan_of(from_book.experiment, **changes)
    state, replica, log = begin(plan), Replica(plan), []
    for _ in range(5):
        log.append(messages(plan, state))
        replica.hear(log[-1])
        state, events = advance(plan, state, Stacked().settled(plan.world), never)
        assert events[-1].bytes_up == sum(map(len, log[-1]))
        assert torch.equal(replica.state.model, state.model)
    late = Replica(plan)
    for said in log:
        assert not torch.equal(late.state.model, state.model)
        late.hear(said)
    assert torch.equal(late.state.model, state.model)


# --- it learns ------------------------------------------------------------------------------------------------------

def test_a_byte_is_as_good_as_four(tmp_path):
    """30 rounds of 4 slopes from 4 machines: 480 bytes, or 1920; losses are within 2 %, and lower than at the start."""
    e = one_byte.experiment.changed(rounds=30, **{"evaluate.every": 30})
    runs = [fl.run(e.changed(encode=codec), tmp_path / codec, progress=False) for codec in ("log_byte", "update")]
    assert [int(run.history["bytes_up"].sum()) for run in runs] == [480, 1920]
    byte, plain = (run.history["loss"].iloc[-1] for run in runs)
    assert abs(byte / plain - 1) < 0.02
    first = one_byte.experiment.changed(rounds=1, **{"evaluate.every": 1, "local.lr": 1e-9})
    assert byte < fl.run(first, tmp_path / "first", progress=False).history["loss"].iloc[-1] - 0.02
