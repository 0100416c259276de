"""DiLoCo and Streaming DiLoCo: steps of AdamW, the outer momentum, a merge and a block of 4-bit floats by hand, rounds
against a loop of plain PyTorch, which fragment travels when, and what it costs."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import cross_entropy

import fedlab_widgets as fl
from fedlab_widgets.distribute import Changes
from fedlab_widgets.encode import Float4
from fedlab_widgets.engine import advance
from fedlab_widgets.layout import Columns, Layout
from fedlab_widgets.local import AdamW, Streaming
from fedlab_widgets.local.fragments import fragments, layers, sent_columns
from fedlab_widgets.plan import begin, prepare, uplink
from fedlab_widgets.recipes import diloco as recipes
from fedlab_widgets.session import one_thread
from fedlab_widgets.types import Block, Cohort, Memory, Space, never
from fedlab_widgets.world import world_of

NESTEROV = fl.Momentum(lr=0.7, beta=0.9, nesterov=True)
BASE = fl.Experiment(task=fl.Digits(), net=fl.MLP(hidden=(6, 5)), partition=fl.IID(clients=2), local=AdamW(steps=2),
                     aggregate=fl.Mean(weights="uniform"), server=NESTEROV, rounds=4, precision="float64")
STREAMING = BASE.changed(local=Streaming(steps=4, batch=None, lr=0.01), distribute=Changes(), rounds=5)


def plan_of(e, **changes):
    e = e.changed(**changes)
    return prepare(e, world_of(e, torch.device("cpu")))


def states(plan):
    """The state before the first round and after each (of clients' own tables, which are written in place, only as they
    are in the end), and the events of each."""
    state, executor = begin(plan), fl.Stacked(8).settled(plan.world)
    found, events = [state], []
    with one_thread():
        for _ in range(plan.experiment.rounds):
            state, said = advance(plan, state, executor, never)
            found.append(state)
            events.append(said)
    return found, events


def cohort_of(world, round=1):
    ids = torch.arange(world.clients)
    return Cohort(round, ids, world.shards.train[ids], torch.ones(len(ids)).double(), ids * 0, len(ids), 0.0)


def trained(plan, local, start, mine, round=1):
    cohort = cohort_of(plan.world, round)
    return local.train(plan.world, start, cohort, mine, plan.world.keys("training", round, cohort.ids), None, never)


# --- AdamW ----------------------------------------------------------------------------------------------------------

def test_two_steps_by_hand():
    """g = 1, then -1. Step 1: m' = 0.1 / 0.1 = 1 and v' = 1, so w = 5 - 0.1 = 4.9: lr times the sign. Step 2: m =
    0.9 x 0.1 - 0.1 = -0.01, m' = -0.01 / 0.19 = -1/19; v = 0.999 x 0.001 + 0.001 = 0.001999 = 1 - 0.999^2, v' = 1:
    w = 4.9 + 0.1 / 19."""
    w, (m, v, age), g = torch.tensor([[5.0]]).double(), torch.zeros(3, 1, 1).double(), torch.ones(1, 1).double()
    part, alive = AdamW(weight_decay=0, eps=1e-30), torch.ones(1, 1).double()
    part._step(w, g, m, v, age, alive, 0.1)
    assert w.item() == pytest.approx(4.9, abs=1e-12)
    part._step(w, -g, m, v, age, alive, 0.1)
    assert (w.item(), m.item(), v.item(), age.item()) == pytest.approx((4.9 + 0.1 / 19, -0.01, 0.001999, 2), abs=1e-12)


def test_decay_is_apart_from_the_gradient_and_who_rests_stays():
    """w = 2 shrinks by lr x decay = 0.1 x 0.5 to 1.9, and no moment hears of it; the second client is at rest."""
    w, (m, v, age) = torch.full((2, 1), 2.0).double(), torch.zeros(3, 2, 1).double()
    AdamW(weight_decay=0.5)._step(w, torch.zeros(2, 1).double(), m, v, age, torch.tensor([[1.0], [0.0]]).double(), 0.1)
    assert w[:, 0].tolist() == [1.9, 2.0] and age[:, 0].tolist() == [1, 0] and not m.any() and not v.any()


@pytest.mark.parametrize("clip", [None, 0.5])
def test_it_is_torch_optim_adamw_over_rounds(clip):
    plan = plan_of(BASE, partition=fl.IID(clients=1), server=fl.Apply(), rounds=3,
                   local=AdamW(steps=5, batch=None, lr=0.02, weight_decay=0.1, clip=clip))
    world, net = plan.world, copy.deepcopy(plan.world.net).double()
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.02, weight_decay=0.1)
    x, y = (t[:int(world.shards.train[0])] for t in (world.shards.x, world.shards.y))
    for _ in range(15):
        optimiser.zero_grad()
        cross_entropy(net(x), y).backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimiser.step()
    end = states(plan)[0][-1].model
    assert torch.allclose(end, world.layout.flatten(net, torch.float64, world.device), rtol=0, atol=1e-6 if clip else
                          1e-12)   # torch adds 1e-6 to the length before it clips


def test_moments_that_are_not_kept_make_every_rounds_first_step_a_sign():
    plan = plan_of(BASE, local=AdamW(steps=1, batch=None, lr=0.01, weight_decay=0, eps=1e-30, keep=False),
                   rounds=2)
    found, _ = states(plan)
    assert not found[-1].memory["local"].own
    start = found[2].model.expand(2, -1)
    way = trained(plan, plan.experiment.local, start, Memory(), 3).end - start
    steps = plan.world.layout.real.take(way).abs()
    moved = (steps - 0.01).abs() < 1e-12
    assert bool((moved | (steps == 0)).all()) and bool(moved.any())   # a pixel that is always empty has no gradient
    kept = plan_of(BASE, local=AdamW(steps=1, batch=None, lr=0.01, weight_decay=0), rounds=2)
    own = states(kept)[0][2].memory["local"].of(torch.arange(2))
    assert own.own["age"][:, 0].tolist() == [2, 2]
    way = trained(kept, kept.experiment.local, start, own, 3).end - start
    assert float((plan.world.layout.real.take(way).abs() - 0.01).abs().median()) > 1e-5


# --- the outer optimiser --------------------------------------------------------------------------------------------

def test_the_outer_step_by_hand():
    """d = 1, then 2. u = 1, way 1 + 0.9 = 1.9, model 0.7 x 1.9 = 1.33. u = 0.9 + 2 = 2.9, way 2 + 2.61 = 4.61, model
    1.33 + 3.227."""
    world = SimpleNamespace(sent=Columns(((0, 1),), 1))
    model, memory = torch.zeros(1).double(), Memory(shared={"u": torch.zeros(1).double()})
    for d, due in ((1.0, 1.33), (2.0, 4.557)):
        value = {"update": torch.tensor([d]).double()}
        model, memory = NESTEROV.step(world, SimpleNamespace(model=model), value, memory)
        assert model.item() == pytest.approx(due, abs=1e-12)


def test_the_momentum_of_a_fragment_moves_with_that_fragment_alone():
    plan = plan_of(STREAMING, **{"local.flush": False})
    found, _ = states(plan)
    layout = plan.world.layout
    for r, (before, after) in enumerate(zip(found, found[1:], strict=False), 1):
        for i, names in enumerate(fragments(layout, 3, True)):
            there, sent = layout.columns(names), sent_columns(layout, plan.world.sent, names)
            still = (torch.equal(there.take(before.model), there.take(after.model)),
                     torch.equal(*(sent.take(s.memory["server"].shared["u"]) for s in (before, after))))
            assert still == ((False, False) if i == (r - 1) % 3 else (True, True)), (r, i)


# --- fragments ------------------------------------------------------------------------------------------------------

def test_layers_and_fragments_of_the_transformer():
    layout = Layout.of(fl.CharTransformer(width=4).build(torch.Size([8]), 5))
    assert list(dict.fromkeys(layers(layout.names))) == ["place", "token", "blocks.0", "blocks.1", "norm", "head"]
    found = fragments(layout, 3, True)
    assert [sorted(set(layers(names))) for names in found] == [["blocks.1", "place"], ["norm", "token"],
                                                               ["blocks.0", "head"]]
    runs = fragments(layout, 3, False)
    assert [sorted(set(layers(names))) for names in runs] == [["place", "token"], ["blocks.0", "blocks.1"],
                                                              ["head", "norm"]]
    assert sum(len(names) for names in found) == len(layout.names)


def test_what_travels_when_by_hand():
    """Layers of 64 x 6 + 6 = 390, 6 x 5 + 5 = 35 and 5 x 10 + 10 = 60 columns, one a round, all in the last one."""
    plan = plan_of(STREAMING)
    went = [plan.experiment.local.travels(plan.world, replace(begin(plan), round=r)).ranges for r in range(5)]
    assert went == [((0, 390),), ((390, 425),), ((425, 485),), ((0, 390),), ((0, 485),)]
    unflushed = plan.experiment.local.model_copy(update={"flush": False})
    assert unflushed.travels(plan.world, replace(begin(plan), round=4)).ranges == ((390, 425),)


@pytest.mark.parametrize("overlap", [0, 2])
def test_a_merge_by_hand_and_the_base_of_what_is_sent(overlap):
    """Clients stand at 3 and the model of all at 1, and steps are too short to move anybody. Round 2: fragment 1 of 2
    arrives, 0.25 x 3 + 0.75 x 1 = 1.5, the other stays. Round 3 sends fragment 1: 1.5 - 1 = 0.5 from the last global
    fragment, where it is 0 from the merged one."""
    plan = plan_of(STREAMING, local=Streaming(fragments=2, steps=3, overlap=overlap, mix=0.25, lr=1e-300,
                                              weight_decay=0))
    world, local = plan.world, plan.experiment.local
    first, second = (world.layout.columns(names) for names in fragments(world.layout, 2, True))
    start = world.layout.real.put(torch.ones(2, 485).double())
    mine = local.init(world).of(torch.arange(2))
    mine = replace(mine, own=mine.own | {"w": 3 * start})
    nothing = trained(plan, local, start, mine, 1)   # in the first round nothing has been sent yet
    assert world.layout.real.take(nothing.end).unique().tolist() == [3]
    made = trained(plan, local, start, mine, 2)
    assert first.take(made.end).unique().tolist() == [1.5] and second.take(made.end).unique().tolist() == [3]
    assert torch.equal(made.end, made.own["w"])
    again = trained(plan, local, start, Memory(made.own), 3)
    sent = local.travels(world, replace(begin(plan), round=2)).take(world.sent.take(again.end - start))
    assert sent.unique().tolist() == [0.5]


@pytest.mark.parametrize("overlap, mix", [(0, 0.0), (1, 0.5), (3, 0.0)])
def test_rounds_are_those_of_a_loop_of_plain_pytorch(overlap, mix):
    plan = plan_of(STREAMING, **{"local.overlap": overlap, "local.mix": mix})
    world, groups, shards = plan.world, fragments(plan.world.layout, 3, True), plan.world.shards
    nets = [copy.deepcopy(world.net).double() for _ in range(2)]
    optimisers = [torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.01) for net in nets]
    model = {n: p.detach().clone() for n, p in nets[0].named_parameters()}
    u, arrived = {n: torch.zeros_like(p) for n, p in model.items()}, ()
    for r in range(5):
        for i, (net, optimiser) in enumerate(zip(nets, optimisers, strict=True)):
            own, rows = slice(shards.offsets[i], shards.offsets[i] + shards.train[i]), dict(net.named_parameters())
            for t in range(4):
                if t == overlap:
                    for n in arrived:
                        rows[n].data = mix * rows[n].data + (1 - mix) * model[n]
                optimiser.zero_grad()
                cross_entropy(net(shards.x[own]), shards.y[own]).backward()
                optimiser.step()
        arrived = groups[r % 3] if r < 4 else world.layout.names
        for n in arrived:
            delta = model[n] - sum(dict(net.named_parameters())[n].detach() for net in nets) / 2
            u[n] = 0.9 * u[n] + delta
            model[n] = model[n] - 0.7 * (delta + 0.9 * u[n])
    end = states(plan)[0][-1]
    assert all(torch.allclose(end.model[None][:, a:a + model[n].numel()], model[n].reshape(1, -1), rtol=0, atol=1e-12)
               for n, a in zip(world.layout.names, world.layout.offsets, strict=True))


def test_one_fragment_that_overwrites_at_once_is_diloco():
    local = Streaming(fragments=1, overlap=0, mix=0, steps=3)
    one, other = (states(plan_of(BASE, local=p))[0][-1].model for p in (local, AdamW(steps=3)))
    assert torch.equal(one, other)


def test_a_client_without_rows_says_nothing():
    plan = plan_of(STREAMING)
    world, local = plan.world, plan.experiment.local
    start = 1 + local.init(world).of(torch.arange(2)).own["w"] * 0
    cohort = replace(cohort_of(world, 2), sizes=torch.tensor([5, 0]))
    out = local.train(world, start, cohort, local.init(world).of(cohort.ids), world.keys("training", 2, cohort.ids),
                      None, never)
    assert torch.equal(out.end[1], start[1]) and not torch.equal(out.end[0], start[0])


def test_what_does_not_fit_is_refused_in_a_sentence():
    for changes, words in (({"local.overlap": 4}, "local.overlap = 4"),
                           ({"schedule": fl.Lockstep(dropout=0.1)}, "every client in every round"),
                           ({"schedule": fl.Lockstep(sampler=fl.Fixed(m=1))}, "every client in every round"),
                           ({"distribute": fl.KeepLayers(layers=("5.*",))}, "the model of all")):
        with pytest.raises(fl.BadInput, match=words):
            STREAMING.changed(**changes)
    with pytest.raises(fl.BadInput, match="local.fragments = 4 is more than the 3 layers of net = mlp"):
        plan_of(STREAMING, **{"local.fragments": 4})


# --- bytes ----------------------------------------------------------------------------------------------------------

def test_bytes_of_a_round_are_those_of_the_fragments():
    """390, 35, 60, 390 and 485 columns of 8 bytes from each of 2 clients. Down: the first model, then what moved."""
    _, events = states(plan_of(STREAMING))
    ended = [said[-1] for said in events]
    assert [e.bytes_up for e in ended] == [16 * n for n in (390, 35, 60, 390, 485)]
    assert [e.bytes_down for e in ended] == [16 * n for n in (485, 390, 35, 60, 390)]
    _, events = states(plan_of(STREAMING, encode=Float4()))   # 195 + 2 x 7 + 8, 18 + 2 + 8, 30 + 2 + 8, …
    assert [said[-1].bytes_up for said in events] == [2 * n for n in (217, 28, 40, 217, 243 + 16 + 8)]


def test_where_everything_moves_everything_is_downloaded():
    _, events = states(plan_of(BASE, distribute=Changes()))
    assert [said[-1].bytes_down for said in events] == [2 * 485 * 8] * 4


def test_the_recipes_peaks_and_totals():
    """d = 30 851 columns. DiLoCo sends 4 d in 10 rounds, data-parallel in 300. Fragments: place and block 2 are 1 024
    + 12 704, token and norm 2 144 + 64, block 1 and head 12 704 + 2 211; peak 14 915 / 30 851 = 0.48."""
    def each(recipe):
        plan = prepare(recipe.experiment, world_of(recipe.experiment, torch.device("cpu")))
        return [uplink(plan, SimpleNamespace(round=r)) for r in range(recipe.experiment.rounds)]

    parallel, whole, streamed = map(each, (recipes.data_parallel, recipes.diloco, recipes.streaming))
    assert set(parallel) == set(whole) == {4 * 30_851} and sum(parallel) == 30 * sum(whole)
    plain = each(SimpleNamespace(experiment=recipes.streaming.experiment.changed(encode=fl.Update())))
    assert plain[:3] == [4 * 13_728, 4 * 2_208, 4 * 14_915] and max(plain[:-1]) <= 0.55 * whole[0]
    assert streamed[2] == 7_458 + 2 * 234 + 4 and sum(parallel) > 200 * sum(streamed)


# --- floats of four bits --------------------------------------------------------------------------------------------

def coded(part, rows, width=None):
    rows = torch.as_tensor(rows)
    space = Space((Block("update", rows.shape[1]),))
    arrays, _ = part.encode(rows, space, torch.arange(len(rows)), Memory())
    return arrays, part.decode(arrays, space)


def test_a_block_by_hand():
    """The largest is 12: a level of 1 stands for 2. 12 is level 6 (number 7), -7 is 3.5, half way, so 3 (5, and 8 for
    the sign), 1 is 0.5 (1), 0.3 is 0.15, nearest to 0. The second block's largest is 6, half of it: a level is 1."""
    arrays, back = coded(Float4(block=4, rounding="nearest"), [[12, -7, 1, 0.3, 6, -1.4]])
    assert arrays["codes"].tolist() == [[7 | 13 << 4, 1, 7 | (3 | 8) << 4]]
    assert arrays["scales"].tolist() == [[0x3F80, 0x3F00]] and arrays["largest"].tolist() == [[12]]
    assert back.tolist() == [[12, -6, 1, 0, 6, -1.5]]
    assert Float4(block=4).price(Space((Block("update", 6),)), torch.float32) == 3 + 2 * 2 + 4


def test_powers_of_two_by_hand():
    """The largest is 16: levels stand for themselves. 3 lies half way from 2 to 4, 5 is nearer to 4, 0.1 to 0."""
    _, back = coded(Float4(format="e3m0", rounding="nearest"), [[16.0, 3, -5, 0.1]])
    assert back.tolist() == [[16, 2, -4, 0]]


@pytest.mark.parametrize("form", ["e2m1", "e3m0"])
def test_rounding_at_random_is_right_on_average(form):
    row = torch.tensor([6.0, 0.7, -0.1, 2.6, -5.2])
    _, back = coded(Float4(format=form), row.expand(20_000, -1))
    assert torch.allclose(back.mean(0), row, atol=0.04) and len(back[:, 1].unique()) == 2


def test_no_scale_cuts_off_the_largest():
    rows = 1e-6 * torch.linspace(0.5, 1, 640).view(10, 64)   # shares that bfloat16 would round up and down
    arrays, back = coded(Float4(block=8), rows)
    assert float((back - rows).abs().max() / rows.max()) < 0.4   # a step between levels at most
    top = rows.view(10, 8, 8).amax(2)
    scales = arrays["scales"].view(torch.bfloat16).float() * arrays["largest"]
    assert bool((scales >= top).all()) and bool((scales <= 1.01 * top).all())
    assert not coded(Float4(), torch.zeros(2, 5))[1].any()


# --- at work --------------------------------------------------------------------------------------------------------

def test_what_is_shown_of_fragments():
    found, events = states(plan_of(STREAMING))
    views = [next(e for e in said if type(e).__name__ == "Shown").views for said in events]
    ages = [view["age of fragments"]["values"] for view in views]
    assert ages == [(0, 1, 1), (1, 0, 2), (2, 1, 0), (0, 2, 1), (0, 0, 0)]
    assert "on its way now: 1" in views[0]["fragments in flight"]["about"]
    assert all(v > 0 for v in views[2]["fragments in flight"]["values"])


def test_streaming_with_central_privacy_spends_on_one_fragment_a_round():
    plan = plan_of(STREAMING, privatise=fl.Gaussian(noise_multiplier=1.0, clip=0.5, delta=1e-5),
                   aggregate=fl.Mean(weights="uniform", denominator="expected"))
    found, events = states(plan)
    layout = plan.world.layout
    moved = layout.columns(fragments(layout, 3, True)[0])
    way = found[1].model - found[0].model
    assert not (way - moved.put(moved.take(way))).any() and bool((moved.take(way) != 0).all())
    assert events[-1][-1].epsilon > events[0][-1].epsilon > 0


def test_floats_of_four_bits_cost_little_loss():
    e = BASE.changed(**{"net": fl.MLP(hidden=(32,)), "local": AdamW(steps=10, lr=3e-3), "rounds": 8})
    whole, short = (fl.run(e.changed(encode=c)).history for c in (fl.Update(), Float4()))
    assert short.loss.iloc[-1] < 1.05 * whole.loss.iloc[-1] and whole.loss.iloc[-1] < 0.6 * whole.loss.iloc[0]
    assert whole.bytes_up.sum() > 7 * short.bytes_up.sum()
