"""FedCAC: masks of critical weights, overlaps and collaborators by hand; its limits; pairs find each other."""

import numpy as np
import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import seeds
from fedlab_widgets.aggregate import Collaborators
from fedlab_widgets.aggregate.overlap import choose, overlaps
from fedlab_widgets.correct import Critical
from fedlab_widgets.correct.critical import most
from fedlab_widgets.distribute import OwnModels
from fedlab_widgets.engine import advance
from fedlab_widgets.evaluate.measure import measure
from fedlab_widgets.partition import Dirichlet
from fedlab_widgets.plan import begin, prepare
from fedlab_widgets.recipes.fedcac import fedcac
from fedlab_widgets.schedule import Fixed, Lockstep
from fedlab_widgets.session import one_thread
from fedlab_widgets.shards import Data
from fedlab_widgets.types import Cohort, Memory, never
from fedlab_widgets.world import world_of

RECIPE = fedcac.experiment.changed(evaluate=fl.Evaluation(readings=(fl.Accuracy(),)))


def planned(e):
    return prepare(e, world_of(e, torch.device("cpu")))


def after(plan, rounds, state=None):
    state, said = state or begin(plan), []
    with one_thread():
        for _ in range(rounds):
            state, events = advance(plan, state, fl.Stacked().settled(plan.world), never)
            said += events
    return state, said


def own(plan, state):
    return state.own.gather(torch.arange(plan.world.clients))


def cohort(round, ids):
    one = torch.ones(len(ids))
    return Cohort(round, torch.tensor(ids), one.long(), one.double(), one.long() * 0, len(ids), 1.0)


def combined(rule, models, masks, round=1, weights=None, ids=None):
    rows, count = torch.cat([torch.tensor(models), torch.tensor(masks)], dim=1).double(), len(models)
    ids = ids or list(range(count))
    mine = Memory({name: torch.full((count, 6), 0.25, dtype=torch.float64) for name in ("overlap", "chosen")})
    weights = torch.ones(count, dtype=torch.float64) if weights is None else torch.tensor(weights).double()
    return rule.combine(None, [rows], weights, count, cohort(round, ids), mine)


# --- masks ------------------------------------------------------------------------------------------------------------

def test_the_most_sensitive_of_each_tensor_are_critical():
    """64-64-10 has tensors of 4096, 64, 640 and 10 weights: with tau = 0.5 critical are 2048, 32, 320 and 5 of them."""
    plan = planned(RECIPE)
    world, draw = plan.world, np.random.default_rng(0)
    start, move = (torch.from_numpy(draw.normal(size=(3, world.layout.total))).float() for _ in range(2))
    sent, kept = Critical(tau=0.5).finish(world, start, start + move, torch.ones(3, 1), Memory())
    at, mask, c = 0, sent["critical"].numpy(), world.sent.take(((start + move - start) * (start + move)).abs()).numpy()
    for n, k in ((4096, 2048), (64, 32), (640, 320), (10, 5)):
        some, these = c[:, at:at + n], mask[:, at:at + n]
        assert (these.sum(1) == k).all()
        assert (np.where(these, some, np.inf).min(1) >= np.where(these, 0, some).max(1)).all()
        at += n
    assert at == mask.shape[1] == 4810 and not kept
    assert torch.equal(start, torch.from_numpy(np.random.default_rng(0).normal(size=start.shape)).float())


def test_rounding_down_ties_and_what_did_not_move():
    c = torch.tensor([[3.0, 1.0, 2.0, 1.0, 0.0]])
    assert most(c, 2).tolist() == [[1, 0, 1, 0, 0]]
    assert most(c, 3).tolist() == [[1, 1, 1, 1, 0]], "equal ones are critical together"
    assert most(c, 5).tolist() == [[1, 1, 1, 1, 0]], "the last is 0: all above it, and no more"
    assert most(torch.tensor([[1.0, 1e-11, 0.0, 1e-12, 0.0]]), 2).tolist() == [[1, 1, 0, 1, 0]]
    assert most(torch.zeros(1, 4), 2).sum() == most(c, 0).sum() == 0


# --- overlaps and collaborators ---------------------------------------------------------------------------------------

def test_overlaps_by_hand():
    """m_0 = 111000, m_1 = 100000, m_2 = 000000: they differ in 2 places, O_01 = 1 - 2/6 and O_10 = 1 - 2/2; who has no
    critical weight overlaps with nobody, and O_02 = 1 - 3/6."""
    near = overlaps(torch.tensor([[1.0, 1, 1, 0, 0, 0], [1.0, 0, 0, 0, 0, 0], [0.0] * 6]))
    assert near.tolist() == [[1, pytest.approx(2 / 3), 0.5], [0, 1, 0.5], [0, 0, 1]]


def test_overlaps_of_masks_of_one_size_are_the_shared_part_and_symmetric():
    masks = torch.zeros(5, 40)
    for row, draw in zip(masks, range(5), strict=True):
        row[torch.from_numpy(np.random.default_rng(draw).permutation(40)[:10].copy())] = 1
    near = overlaps(masks)
    assert torch.equal(near, near.T) and near.diagonal().tolist() == [1] * 5
    assert near.numpy() == pytest.approx(np.array([[(a * b).sum() / 10 for b in masks.numpy()] for a in masks.numpy()]))


MASKS = [[1.0, 1, 0, 0], [1.0, 0, 1, 0], [1.0, 1, 0, 0]]


def test_the_threshold_rises_from_the_mean_to_the_largest_overlap():
    """O_02 = 1, all others 0.5: their mean is (2 + 4 * 0.5) / 6 = 2/3, so that only 0 and 2 find each other until t =
    beta; where all overlap equally, everybody works with everybody."""
    near, pair, alone = overlaps(torch.tensor(MASKS)), [[1, 0, 1], [0, 1, 0], [1, 0, 1]], torch.eye(3).tolist()
    for done, chosen in ((0.05, pair), (1.0, pair), (1.05, alone)):
        assert choose(near, done).tolist() == chosen
    assert choose(overlaps(torch.ones(3, 4)), 1.0).tolist() == [[1] * 3] * 3
    uneven = torch.tensor([[1.0, 0.8, 0.6], [0.8, 1.0, 0.1], [0.6, 0.1, 1.0]])   # mean 0.5: 0.6 until 0.1 / 0.3 is done
    assert choose(uneven, 0.3)[0].tolist() == [1, 1, 1] and choose(uneven, 0.4)[0].tolist() == [1, 1, 0]
    assert choose(torch.ones(1, 1), 0.5).tolist() == [[1]]


def test_models_by_hand():
    """Collaborators are 0 and 2, and 1 alone. Mean of all: (8, 11, 14, 20) / 3. Of 0 and 2: (2, 3, 4, 6.5)."""
    models = [[1.0, 2, 3, 4], [4.0, 5, 6, 7], [3.0, 4, 5, 9]]
    found, learnt = combined(Collaborators(beta=2), models, MASKS)
    assert found.value.tolist() == pytest.approx([8 / 3, 11 / 3, 14 / 3, 20 / 3, 1, 2 / 3, 1 / 3, 0])
    assert found.rows[:, :4].numpy() == pytest.approx(np.array(
        [[2, 3, 14 / 3, 20 / 3], [4, 11 / 3, 6, 20 / 3], [2, 3, 14 / 3, 20 / 3]]))
    assert found.down is None, "each downloads one model"
    alone = combined(Collaborators(beta=2), models, MASKS, round=3)[0].rows[:, :4]
    assert alone.numpy() == pytest.approx(np.array([[1, 2, 14 / 3, 20 / 3], [4, 11 / 3, 6, 20 / 3],
                                                    [3, 4, 14 / 3, 20 / 3]]))
    assert learnt.own["overlap"].tolist() == [[1, .5, 1, .25, .25, .25], [.5, 1, .5, .25, .25, .25],
                                              [1, .5, 1, .25, .25, .25]]


def test_clients_may_count_by_their_rows():
    """Rows 1, 1, 3: all (1 + 4 + 9) / 5 = 2.8 in the first column; 0 and 2 together (1 + 9) / 4 = 2.5. A client without
    rows that stands alone keeps its own."""
    rule, models = Collaborators(beta=2, weights="samples"), [[1.0, 2, 3, 4], [4.0, 5, 6, 7], [3.0, 4, 5, 9]]
    assert rule.weigh(torch.tensor([1, 1, 3])).tolist() == [1, 1, 3] and not rule.equal_weights
    rows = combined(rule, models, MASKS, weights=[1, 1, 3])[0]
    assert float(rows.value[0]) == pytest.approx(2.8) and rows.rows[:, 0].tolist() == pytest.approx([2.5, 4, 2.5])
    assert combined(rule, models, MASKS, weights=[1, 0, 3])[0].rows[1, 0] == 4


def test_only_those_who_came_collaborate_and_old_overlaps_stay():
    learnt = combined(Collaborators(beta=2), [[1.0, 2, 3, 4], [4.0, 5, 6, 7]], [MASKS[0], MASKS[2]], ids=[1, 4])[1].own
    assert learnt["overlap"].tolist() == [[.25, 1, .25, .25, 1, .25]] * 2
    assert learnt["chosen"].tolist() == [[0, 1, 0, 0, 1, 0]] * 2


# --- whole rounds -----------------------------------------------------------------------------------------------------

def test_a_model_of_one_weight(line):
    """tau = 1: the weight is critical to both, overlaps are 1, so both get FedAvg's 0.125 in round 1 = beta. In round 2
    each keeps its own: 0.125 - 0.1 (0.625 - 1) / 2 = 0.14375 and 0.125 - 0.1 (0.125 - 2) = 0.3125; their mean, the
    model of all, is 0.228125. Bytes up: a number of 8 and a mask of 1; down a number."""
    plan = line(local=fl.SGD(lr=0.1, epochs=1, batch=None, correct=(Critical(tau=1),)), distribute=OwnModels(),
                aggregate=Collaborators(beta=1))
    for rounds, each in ((1, [0.125, 0.125]), (2, [0.14375, 0.3125])):
        state, said = after(plan, rounds)
        assert own(plan, state)[:, 0].tolist() == pytest.approx(each, abs=1e-15)
        assert float(state.model[0]) == pytest.approx(sum(each) / 2, abs=1e-15)
        assert (said[-1].bytes_up, said[-1].bytes_down) == (18, 16)


def test_with_nothing_critical_it_is_federated_averaging():
    e = RECIPE.changed(**{"local.correct.0.tau": 0.0, "precision": "float64"})
    plain = planned(e.changed(**{"local.correct": (), "distribute": fl.Broadcast(),
                                 "aggregate": fl.Mean(weights="uniform")}))
    plan = planned(e)
    state, model = after(plan, 2)[0], after(plain, 2)[0].model
    assert own(plan, state).numpy() == pytest.approx(model.expand(10, -1).numpy(), abs=1e-12)
    assert state.model.numpy() == pytest.approx(model.numpy(), abs=1e-12)


def test_with_everything_critical_and_the_time_over_clients_learn_alone():
    """What moved is their own; what did not, behind a dead unit or a dark pixel, is critical to nobody at all."""
    e = RECIPE.changed(**{"local.correct.0.tau": 1.0, "aggregate.beta": 1, "precision": "float64"})
    plan, home = planned(e), planned(e.changed(**{"local.correct": (), "distribute": fl.KeepLayers(layers=("*",)),
                                                  "aggregate": fl.Mean(weights="uniform")}))
    state = after(plan, 1)[0]
    alone = begin(home)
    alone.own.scatter(torch.arange(10), home.world.layout.real.take(own(plan, state)))
    alone = after(home, 1, fl.types.State(alone.model, alone.own, alone.memory, 1, 1.0, 10))[0]
    take, start = plan.world.sent.take, own(plan, state)
    ours, theirs, mean = take(own(plan, after(plan, 1, state)[0])), own(home, alone), own(home, alone).mean(0)
    moved = ((theirs - take(start)) * theirs).abs() > 0
    expected = torch.where(moved, theirs, mean)
    assert ours.numpy() == pytest.approx(expected.numpy(), abs=1e-12) and 0.5 < float(moved.double().mean()) < 1


@pytest.fixture(scope="module")
def ran():
    plan = planned(RECIPE)
    return plan, *after(plan, 8)


def test_pairs_find_each_other(ran):
    """In rounds 1 to 8 of 20 the partner is a collaborator more than twice as often as any other client."""
    _, _, said = ran
    chosen = torch.tensor([e.views["collaborators"]["values"] for e in said if isinstance(e, fl.events.Shown)])
    i = torch.arange(10)
    partner = chosen[:, i, i ^ 1].mean()
    others = (chosen.sum() - 80 - chosen[:, i, i ^ 1].sum()) / (8 * 10 * 8)
    assert chosen[:, i, i].all() and partner > 2 * others > 0


def test_what_it_shows_and_what_it_sends(ran):
    _, _, said = ran
    views = [e.views for e in said if isinstance(e, fl.events.Shown)][-1]
    assert list(views) == ["mask overlap", "collaborators"]
    near, chosen = (torch.tensor(views[name]["values"]) for name in views)
    assert near.shape == chosen.shape == (10, 10) and views["mask overlap"]["labels"] == tuple("0123456789")
    assert bool(((near >= 0) & (near <= 1)).all()) and set(chosen.unique().tolist()) == {0, 1}
    assert (said[-1].bytes_up, said[-1].bytes_down) == (10 * (4 * 4810 + 602), 10 * 4 * 4810)   # 4810 / 8 = 601.25


def test_with_updates_cut_to_a_tenth(ran):
    """TopK cuts the update alone, the mask stays whole: 481 entries of 8 bytes and 602. After 8 rounds the mean client
    is at most 0.05 worse than without."""
    plan = planned(RECIPE.changed(encode=fl.TopK(fraction=0.1)))
    state, said = after(plan, 8)
    assert said[-1].bytes_up == 10 * (481 * 8 + 602)
    cut, whole = (fl.Accuracy().read(measure(p, s))["mean_client"] for p, s in ((plan, state), ran[:2]))
    assert cut > whole - 0.05 and whole > 0.9


def test_some_clients_a_round():
    plan = planned(RECIPE.changed(schedule=Lockstep(sampler=Fixed(m=4))))
    first, _ = after(plan, 1)
    before = own(plan, first).clone()
    state, said = after(plan, 1, first)
    came = torch.zeros(10, dtype=torch.bool)
    came[said[-1].cohort] = True
    moved = (own(plan, state) != before).any(1)
    assert torch.equal(moved, came) and int(came.sum()) == 4
    chosen = state.memory["aggregate"].own["chosen"].gather(came.nonzero()[:, 0])
    assert not chosen[:, ~came].any()


# --- what does not fit ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("changes, says", [
    ({"aggregate": fl.Mean(weights="uniform"), "distribute": fl.Broadcast()}, "set aggregate to 'collaborators'"),
    ({"local.correct": ()}, "set local.correct to 'critical'"),
    ({"distribute": fl.Broadcast()}, "set distribute to 'own_models'"),
    ({"server": fl.Apply(lr=0.5)}, "set server to 'apply'"),
])
def test_neighbours_that_do_not_fit_are_refused_with_the_way_out(changes, says):
    with pytest.raises(fl.BadInput, match=says):
        RECIPE.changed(**changes)


def test_a_correction_that_sends_more_is_refused():
    e = RECIPE.changed(**{"local.momentum": 0, "local.correct": (Critical(), fl.ControlVariate())})
    with pytest.raises(fl.BadInput, match="no use for the block 'control'.*leave the correction out"):
        planned(e)


def test_a_correction_that_sends_nothing_works_beside_it():
    plan = planned(RECIPE.changed(**{"local.correct": (fl.Proximal(mu=0.1), Critical())}))
    assert torch.isfinite(own(plan, after(plan, 1)[0])).all()


# --- clients that share a mix -----------------------------------------------------------------------------------------

def rows(count):
    y = torch.arange(count) % 7
    x = torch.zeros(count, 1)
    return Data(x, y, y * 0, x, y, y * 0, labels=tuple("abcdefg"), groups=("all",))


@pytest.mark.parametrize("clients, alike, groups", [(10, 2, [2] * 5), (7, 3, [3, 3, 1])])
def test_clients_that_are_alike(clients, alike, groups):
    data, key = rows(900), seeds.keys(4, "partition", 0, 0)
    owner = Dirichlet(clients=clients, alpha=0.3, alike=alike, min_rows=8).assign(data, key)
    held = torch.bincount(owner * 7 + data.y, minlength=clients * 7).view(clients, 7)
    assert int(held.sum()) == 900 and int(held.sum(1).min()) >= 8
    mixes = []
    for members in held.split(groups):
        assert int((members.amax(0) - members.amin(0)).max()) <= 1, "of each label as many, but for one"
        assert int(members.sum(1).amax() - members.sum(1).amin()) <= 1
        mixes.append(members.sum(0) / members.sum())
    assert all(float((a - b).abs().sum()) > 0.2 for i, a in enumerate(mixes) for b in mixes[:i])


def test_a_group_has_the_rows_of_a_client_of_its_own():
    data, key = rows(900), seeds.keys(4, "partition", 0, 0)
    alone = Dirichlet(clients=5, alpha=0.3, min_rows=16).assign(data, key)
    assert torch.equal(Dirichlet(clients=10, alpha=0.3, min_rows=8, alike=2).assign(data, key) // 2, alone)
