"""The fairness menu: what is asked, what is told, what then counts, by hand; and that steering is exact."""

import numpy as np
import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.engine import advance
from fedlab_widgets.evaluate.pid_cone import atoms_any
from fedlab_widgets.executors import Stacked
from fedlab_widgets.fairness.look import looks
from fedlab_widgets.phases import asked_first
from fedlab_widgets.plan import begin, prepare, questions
from fedlab_widgets.types import never
from fedlab_widgets.world import world_of


def rows(n=240, seed=0, groups=2, named=True):
    """Rows of two clients whose columns tell of the group, and of the label."""
    draw = np.random.default_rng(seed)
    group, client = draw.integers(0, groups, n), draw.integers(0, 3, n) // 2
    x = draw.normal(size=(n, 3)) + np.stack([group, client * group, 0 * group], 1)
    y = (x.sum(1) + draw.normal(size=n) > 1).astype(int) + (0 if named else draw.integers(0, 2, n))
    return fl.from_arrays(x, y, group=group, client=client, name=f"fair {n} {seed} {groups}",
                          favourable=1 if named else None)


def plan(*fairness, **fields):
    e = fl.Experiment(**{"task": rows(), "net": fl.Logistic(), "partition": fl.Natural(), "rounds": 3,
                         "local": fl.SGD(lr=0.01, steps=1, batch=None), "precision": "float64",
                         "fairness": fairness, "evaluate": fl.Evaluation(readings=(fl.Accuracy(),)), **fields})
    return prepare(e, world_of(e, torch.device("cpu")))


def one_round(p, state=None):
    return advance(p, state or begin(p), Stacked(8).settled(p.world), never)


# --- the parity penalty ----------------------------------------------------------------------------------------------

def test_the_penalty_is_the_squared_gap_of_the_answers():
    # One row of each group: logits (0, 0) give p(yes) = 1/2, (0, log 3) give 3/4. The gap is 1/4: 2 x 1/16 = 1/8.
    outputs = torch.tensor([[[0.0, 0.0], [0.0, np.log(3)]]])
    y, group, share = torch.zeros(1, 2, dtype=torch.int64), torch.tensor([[0, 1]]), torch.full((1, 2), 0.5)
    found = fl.ParityPenalty(weight=2.0).penalty(plan().world, outputs, y, group, share, outputs[:, 0, :0])
    assert found.tolist() == pytest.approx([0.125])


def test_a_batch_of_one_group_has_no_penalty_and_three_groups_have_three_pairs():
    world = plan(task=rows(groups=3)).world
    outputs = torch.tensor([[[0.0, 0.0], [0.0, np.log(3)], [0.0, 0.0]]])
    y, share = torch.zeros(1, 3, dtype=torch.int64), torch.full((1, 3), 1 / 3)
    part = fl.ParityPenalty(weight=1.0)
    # Pairs 0-1 and 1-2 are 1/4 apart, 0-2 not at all: (1/16 + 1/16 + 0) / 3 = 1/24.
    assert part.penalty(world, outputs, y, torch.tensor([[0, 1, 2]]), share, share[:, :0]).tolist() == pytest.approx(
        [1 / 24])
    assert part.penalty(world, outputs, y, torch.tensor([[1, 1, 1]]), share, share[:, :0]).tolist() == [0]


# --- reweighing ------------------------------------------------------------------------------------------------------

def test_rows_count_as_if_label_and_group_were_independent():
    # 3 of (0, no), 1 of (0, yes), 1 of (1, no), 3 of (1, yes), over two clients: P(z) P(y) = 1/4 everywhere, so that
    # 3/8 gets (1/4) / (3/8) = 2/3 and 1/8 gets 2.
    world = plan().world
    answers = torch.tensor([[3.0, 0, 0, 1], [0, 1, 1, 2]])
    told = fl.Reweigh().reply(world, answers, torch.tensor([0.5, 0.5]), None).told
    assert told.flatten().tolist() == pytest.approx([2 / 3, 2, 2, 2 / 3] * 2)
    # By its own counts the first client has the groups 3 : 1, each of one label: (3/4 x 3/4) / (3/4) = 3/4, and 1/4.
    told = fl.Reweigh(scope="local").reply(world, answers, torch.tensor([0.5, 0.5]), None).told
    assert told[0].tolist() == pytest.approx([3 / 4, 0, 0, 1 / 4])
    y, group = torch.tensor([[1, 0], [0, 1]]), torch.tensor([[0, 0], [1, 1]])
    counts = fl.Reweigh().rows(world, y, group, torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]]))
    assert counts.tolist() == [[2, 1], [7, 8]]


def test_counts_are_those_of_the_rows_to_learn_from():
    p = plan(fl.Reweigh())
    shards = p.world.shards
    counts = fl.Reweigh().answer(p.world, None, torch.tensor([1, 0]))
    for i, found in zip((1, 0), counts, strict=True):
        a, n = int(shards.offsets[i]), int(shards.train[i])
        mine = [(int(z), int(y)) for z, y in zip(shards.group[a:a + n], shards.y[a:a + n], strict=True)]
        assert found.tolist() == [mine.count(cell) for cell in ((0, 0), (0, 1), (1, 0), (1, 1))]


def test_weights_of_rows_enter_the_steps_written_out_by_hand_as_well():
    p = plan(fl.Reweigh(), local=fl.SGD(lr=0.5, epochs=2, batch=16))
    by_hand = one_round(p)[0].model
    by_autograd = advance(p, begin(p), Stacked(8, "vmap").settled(p.world), never)[0].model
    plain = one_round(plan(local=fl.SGD(lr=0.5, epochs=2, batch=16)))[0].model
    assert torch.allclose(by_hand, by_autograd, atol=1e-12) and not torch.allclose(by_hand, plain, atol=1e-3)


# --- weights of clients ----------------------------------------------------------------------------------------------

def test_clients_count_by_how_close_their_gap_is():
    """Tables [2 groups, 2 labels, (rows, favourable answers, right answers)], parity.

    Client 0: 4 rows a group, 1 and 3 favourable: gap 1/2. Client 1: 4 rows a group, 2 and 2: gap 0. Everybody: 3/8 and
    5/8, gap 1/4. So both are 1/4 away, and nothing moves. With client 1 at (0, 4), gap 1: everybody (1/8, 7/8), 3/4;
    both 1/4 away again. With client 2 like client 1 at gap 0: everybody 5/12 and 7/12, gap 1/6: distances 1/3, 1/6,
    1/6; their mean is 2/9; w = 1/3 - beta (1/9, -1/18, -1/18) = (2/9, 7/18, 7/18) for beta = 1: factors 2/3, 7/6, 7/6.
    """
    p = plan(fl.FairWeights(gap="parity"))

    def table(a, b):
        return [[[2, a / 2, 1], [2, a / 2, 1]], [[2, b / 2, 1], [2, b / 2, 1]]]

    tables = torch.tensor([table(1, 3), table(2, 2), table(2, 2)], dtype=torch.float64)
    part = fl.FairWeights(gap="parity")
    assert part.distances(tables, 1).tolist() == pytest.approx([1 / 3, 1 / 6, 1 / 6])
    thirds = torch.full((3,), 1 / 3, dtype=torch.float64)
    mine = part.init(p.world).of(torch.tensor([0, 0, 0]))
    reply = part.reply(p.world, tables.flatten(1), thirds, mine)
    assert reply.factor.tolist() == pytest.approx([2 / 3, 7 / 6, 7 / 6]) and reply.told.shape == (3, 0)
    again = part.reply(p.world, tables.flatten(1), thirds, reply.memory)   # it remembers: 1 - 2 x 1/3
    assert again.factor.tolist() == pytest.approx([1 / 3, 4 / 3, 4 / 3])


def test_a_client_of_one_group_is_held_by_its_accuracy():
    # Client 1 has nobody of group 0. It is right in 2 of 4, everybody in (4 + 2) / 12 = 1/2: distance 0. Client 0 has
    # the gap 1/2; everybody: 1/4 of group 0, (3 + 0) / 8 of group 1: gap 1/8. Distance 3/8.
    tables = torch.tensor([[[[2, 0.5, 1.0], [2, 0.5, 1]], [[2, 1.5, 1], [2, 1.5, 1]]],
                           [[[0, 0, 0], [0, 0, 0]], [[2, 0, 1], [2, 0, 1]]]], dtype=torch.float64)
    assert fl.FairWeights(gap="parity").distances(tables, 1).tolist() == pytest.approx([3 / 8, 0])


def test_opportunity_looks_at_those_who_deserve_it():
    # Among the label "yes": group 0 gets 1 of 2, group 1 gets 2 of 2: gap 1/2, whatever happens to the "no".
    tables = torch.tensor([[[[9, 7, 1.0], [2, 1, 1]], [[9, 1, 1], [2, 2, 1]]],
                           [[[9, 7, 1.0], [2, 1, 1]], [[9, 1, 1], [2, 1, 1]]]], dtype=torch.float64)
    # Client 1: gap 0. Everybody: 2/4 and 3/4: 1/4. Both are 1/4 away.
    assert fl.FairWeights().distances(tables, 1).tolist() == pytest.approx([1 / 4, 1 / 4])


def test_counts_of_answers_are_those_of_the_model():
    p = plan(fl.FairWeights())
    world, ids = p.world, torch.tensor([0, 1])
    w = torch.linspace(-1, 1, world.layout.total, dtype=torch.float64).expand(2, -1)
    found = fl.FairWeights().answer(world, w, ids).view(2, 2, 2, 3)
    a, n = int(world.shards.offsets[1]), int(world.shards.train[1])
    x, y, z = (t[a:a + n] for t in (world.shards.x, world.shards.y, world.shards.group))
    said = world.forward(w[:1], x[None])[0].argmax(1)
    cell = (z == 1) & (y == 0)
    assert found[1, 1, 0].tolist() == [int(cell.sum()), int((said[cell] == 1).sum()), int((said[cell] == 0).sum())]


# --- steering --------------------------------------------------------------------------------------------------------

def soft_parts(world, w):
    """The parts of the soft answers of all rows that are learned from: P(z, yhat, s), in bits."""
    ids = torch.arange(world.clients)
    tables = torch.zeros(world.clients, 2, 2, dtype=torch.float64)
    for look in looks(world, w.expand(world.clients, -1), ids):
        for z in (0, 1):
            mine = (look.group == z) * look.there
            tables[look.who, z] += (mine[..., None] * look.outputs.softmax(-1)).sum(1)
    p = tables.permute(1, 2, 0).numpy()[None]
    return {name: float(bits[0]) for name, bits in atoms_any(p / p.sum())[0].items()}


@pytest.mark.parametrize("weights", ["samples", "uniform"])
@pytest.mark.parametrize("knob", ["unique", "redundant", "masked"])
def test_steering_adds_the_gradient_of_the_part(knob, weights):
    """One full step from a model with all three parts: a knob of 2 adds -lr times 2 times the slope to it."""
    knobs = {"unique": 0, "redundant": 0, "masked": 0}
    mean = fl.Mean(weights=weights)
    with_, without = (plan(fl.Steer(**knobs | {knob: value}), aggregate=mean) for value in (2, 0))
    world, state = with_.world, begin(with_)
    start = world.layout.real.put(torch.linspace(-2, 3, world.layout.real.width, dtype=torch.float64))
    state = type(state)(**vars(state) | {"model": start})
    slope = (one_round(with_, state)[0].model - one_round(without, state)[0].model) / -0.01 / 2
    assert soft_parts(world, start)[knob] > 1e-4
    for seed in (1, 2):
        towards = world.layout.real.put(torch.randn(world.layout.real.width, dtype=torch.float64,
                                                    generator=torch.Generator().manual_seed(seed)))
        h = 1e-5
        ahead, behind = (soft_parts(world, start + side * h * towards)[knob] for side in (1, -1))
        assert float(slope @ towards) == pytest.approx((ahead - behind) / (2 * h), rel=2e-3, abs=1e-7)


def test_steering_with_knobs_at_zero_is_fedavg():
    local = fl.SGD(lr=0.5, epochs=2, batch=16)
    assert torch.allclose(one_round(plan(fl.Steer(unique=0, redundant=0, masked=0), local=local))[0].model,
                          one_round(plan(local=local))[0].model, atol=1e-12)


# --- the phase before training ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("part, up, down", [(fl.Steer(), 32, 32), (fl.Reweigh(), 32, 32), (fl.FairWeights(), 96, 0),
                                            (fl.Reweigh(scope="local"), 0, 0), (fl.ParityPenalty(), 0, 0)])
def test_answers_and_replies_are_priced(part, up, down):
    """4 numbers of 8 bytes (float64) for a table of 2 groups x 2 labels or predictions; 12 for three counts each."""
    p = plan(part)
    assert questions(p) == (up, down)
    bare, asked = (next(e for e in one_round(q)[1] if hasattr(e, "bytes_up")) for q in (plan(), p))
    assert (asked.bytes_up - bare.bytes_up, asked.bytes_down - bare.bytes_down) == (2 * up, 2 * down)


def test_the_forecast_is_what_the_round_costs():
    e = plan(fl.Steer(), fl.FairWeights()).experiment
    run = fl.run(e)
    costs = e.forecast()
    assert (costs.bytes_up, costs.bytes_down) == (run.history.bytes_up.sum(), run.history.bytes_down.sum())


def test_parts_work_side_by_side():
    """Each client is told what each part says, in the order of the parts; weights multiply."""
    parts = fl.Reweigh(), fl.Steer(), fl.FairWeights(beta=0.5)
    p = plan(*parts)
    cohort = p.experiment.schedule.next(p.world, begin(p))[0]
    both, _ = asked_first(p, begin(p), Stacked(8).settled(p.world), never, cohort)
    alone = []
    for part in parts:
        q = plan(part)
        alone.append(asked_first(q, begin(q), Stacked(8).settled(q.world), never, cohort)[0])
    assert torch.equal(both.told, torch.cat([c.told for c in alone], 1))
    assert torch.equal(both.weights, alone[2].weights) and len(set(both.weights.tolist())) == 2


REFUSED = {
    "two groups": lambda: plan(fl.Steer(), task=rows(groups=3)),
    "has 3": lambda: plan(fl.FairWeights(), task=rows(groups=3)),
    "favourable label": lambda: plan(fl.FairWeights(), task=rows(named=False)),
    "heeds no weights": lambda: plan(fl.FairWeights(), aggregate=fl.Median()),
    "epsilon would not hold": lambda: plan(fl.Steer(), privatise=fl.Gaussian(noise_multiplier=1.0),
                                           aggregate=fl.Mean(weights="uniform", denominator="expected")),
    "twice": lambda: plan(fl.Steer(), fl.Steer(unique=1)),
    "fairness.0.unique = -1": lambda: fl.Experiment(fairness=({"part": "steer", "unique": -1},)),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_work_is_refused_before_the_run(words):
    with pytest.raises(fl.BadInput, match=words.replace(".", r"\.")):
        REFUSED[words]()


def test_what_never_leaves_the_client_goes_with_central_privacy():
    p = plan(fl.Reweigh(scope="local"), privatise=fl.Gaussian(noise_multiplier=1.0),
             aggregate=fl.Mean(weights="uniform", denominator="expected"))
    assert p.ledger is not None and questions(p) == (0, 0)
