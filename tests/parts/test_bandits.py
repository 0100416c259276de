"""Private federated linear bandits, by hand: choices, nodes, noise, what it promises, and what the times of messages
tell."""

import json
import math
from pathlib import Path

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import seeds
from fedlab_widgets.contracts.toy import run
from fedlab_widgets.local import LinUCB, bandit_noise
from fedlab_widgets.local.adaptive_sync import suspects, sync_times
from fedlab_widgets.local.bandit_rounds import closed, exploration, level, met, released, statistics
from fedlab_widgets.local.vector_sum import bits, coins, grid, vector_sum
from fedlab_widgets.nets import LinearStatistics
from fedlab_widgets.plan import prepare
from fedlab_widgets.privatise.prefix import sensitivities
from fedlab_widgets.tasks import LinearBandit
from fedlab_widgets.types import never
from fedlab_widgets.world import world_of

ORACLE = json.loads((Path(__file__).parents[1] / "oracles" / "privacy.json").read_text())


def plan(rounds=8, silos=4, precision="float64", task=None, **local):
    task = task or LinearBandit(silos=silos, users=50, arms=4, dimension=3)
    e = fl.Experiment(name="bandits", task=task, partition=fl.Natural(), net=LinearStatistics(), rounds=rounds,
                      local=LinUCB(**{"batch": 5} | local), aggregate=fl.Mean(weights="uniform"), seed=1,
                      precision=precision)
    return prepare(e, world_of(e, torch.device("cpu")))


def known(p, state):
    """The synchronised matrix and vector."""
    views = p.world.layout.views(state.model)
    return views["gram"][p.world.net.places], views["bias"]


def test_two_users_of_one_feature_by_hand():
    """V = lambda = 1, b = 0, beta = 0.5, theta = 1. User 1 has arms 0.6 and -0.8: estimates 0, widths 0.6 and 0.8, so
    scores 0.3 and 0.4, and gets -0.8: regret 0.6 + 0.8. Its reward is -0.8 + 0.1 = -0.7. Then V = 1.64, b = 0.56 and
    theta_i = 0.56 / 1.64 = 0.3415. User 2 has arms 1 and -0.9: 0.3415 + 0.5 / 1.2806 = 0.732 against -0.3073 + 0.3514
    = 0.044: it gets 1, its reward 1 + 0.2 is cut to 1. Sums: 0.64 + 1, and 0.56 + 1."""
    x = torch.tensor([[[[0.6], [-0.8]], [[1.0], [-0.9]]]], dtype=torch.float64)
    chosen, rewards, regret = met(x, torch.ones(1, 1, 1).double(), torch.zeros(1, 1).double(), torch.ones(1).double(),
                                  torch.tensor([[0.1, 0.2]]).double(), [0.5, 0.5], 1.0, True, never)
    torch.testing.assert_close(chosen.flatten(), torch.tensor([-0.8, 1.0]).double())
    torch.testing.assert_close(rewards.flatten(), torch.tensor([-0.7, 1.0]).double())
    torch.testing.assert_close(regret.flatten(), torch.tensor([1.4, 0.0]).double())
    torch.testing.assert_close(statistics(chosen, rewards).sum(1).flatten(), torch.tensor([1.64, 1.56]).double())


def test_without_fresh_news_one_user_does_not_change_the_choices_for_the_next():
    """The same first user; a second with arms 0.9 and -1: scores are 0.45 and 0.5, whatever the first brought."""
    x = torch.tensor([[[[0.6], [-0.8]], [[0.9], [-1.0]]]], dtype=torch.float64)
    for fresh, second in ((True, 0.9), (False, -1.0)):
        chosen, _, _ = met(x, torch.ones(1, 1, 1).double(), torch.zeros(1, 1).double(), torch.ones(1).double(),
                           torch.zeros(1, 2).double(), [0.5, 0.5], 1.0, fresh, never)
        assert chosen.flatten().tolist() == [-0.8, second]


def test_the_bound_of_an_estimate_by_hand():
    """lambda 4, t 3, 2 silos, d 2, noise 0.5, alpha 0.01: 2 + 0.5 sqrt(2 ln(1 + 6 / 8) + ln 100) = 3.1963."""
    assert exploration(range(3, 4), 4.0, 2, 2, 0.5, 0.01)[0] == pytest.approx(
        2 + 0.5 * math.sqrt(2 * 0.559616 + 4.605170), rel=1e-6)


def test_nodes_of_the_first_four_rounds_by_hand():
    """Batches 1, 10, 100, 1000 end nodes of level 0, 1, 0, 2: 1, then 1 + 10, 100, and 11 + 100 + 1000; below a node
    all is empty. The server's sum of nodes is 1, 11, 111, 1111."""
    silo, server = torch.zeros(3, 1), torch.zeros(3, 1)
    due = [[1, 0, 0], [0, 11, 0], [100, 11, 0], [0, 0, 1111]]
    for n, batch in enumerate((1.0, 10.0, 100.0, 1000.0), 1):
        silo = closed(silo, n, torch.tensor([batch]))
        server = released(server, n, silo[level(n)])
        assert silo.flatten().tolist() == server.flatten().tolist() == due[n - 1]
        assert float(server.sum()) == [1, 11, 111, 1111][n - 1]


def test_a_user_is_in_as_many_nodes_as_the_account_says():
    """kappa, against the sensitivity of a tree over so many rounds, which the house works out another way."""
    for rounds in (1, 2, 3, 4, 7, 8, 80, 100):
        assert sensitivities("tree", rounds, rounds)[-1] ** 2 == pytest.approx(bandit_noise.levels(rounds))


def test_noise_and_regulariser_by_hand():
    """kappa = 7, delta = 0.1, epsilon = 1: silo sqrt(7 (ln 10 + 1)) = 4.80813. Shuffle, 20 silos of 2000 users:
    sqrt(7 x 2.302585 x ln(1.035) x ln(1400) / 20) = sqrt(16.118096 x 0.034401 x 7.244228 / 20) = 0.44815. Vector sum,
    d = 5: sqrt(21 / 320) ln 250 = 0.256174 x 5.521461 = 1.41445. lambda at sigma = 1, alpha = 0.01, d = 5:
    sqrt(140) (sqrt(11.605170) + sqrt 5) = 11.832160 x 5.642708 = 66.7654; unnoised sqrt(20)."""
    assert bandit_noise.deviation("silo", 1.0, 0.1, 80, 2000, 20, 5) == pytest.approx(4.80813, abs=1e-5)
    assert bandit_noise.deviation("shuffle", 1.0, 0.1, 80, 2000, 20, 5) == pytest.approx(0.44815, abs=1e-5)
    assert bandit_noise.deviation("vector sum", 1.0, 0.1, 80, 2000, 20, 5) == pytest.approx(1.41445, abs=1e-5)
    assert bandit_noise.regulariser(1.0, 80, 20, 5, 0.01, 20) == pytest.approx(66.7654, abs=1e-4)
    assert bandit_noise.regulariser(0.0, 80, 20, 5, 0.01, 20) == pytest.approx(20**0.5)


def test_what_the_noise_promises_by_hand():
    """7 nodes of squared sensitivity 1 + 1 and sigma = 2: 7 x 2 / 8 = 1.75-zCDP; as one Gaussian of multiplier
    1 / sqrt(3.5), by the exact formula delta = Phi(m / 2 - e / m) - exp(e) Phi(-m / 2 - e / m), m = sqrt(3.5)."""
    assert bandit_noise.rho(2.0, 80, 1.0) == 1.75
    e, m = bandit_noise.guarantee(1.75, 0.01), 3.5**0.5
    cdf = lambda v: 0.5 * math.erfc(-v / 2**0.5)   # noqa: E731
    assert cdf(m / 2 - e / m) - math.exp(e) * cdf(-m / 2 - e / m) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("row", ORACLE["shuffle_amplification_closed_form"]["rows"])
def test_amplification_is_the_stored_closed_form(row):
    args = row["local_epsilon"], row["users"], row["delta"]
    assert bandit_noise.shuffled(*args) == pytest.approx(row["central_epsilon_closed_form"], rel=1e-9)


def test_what_is_known_is_the_sum_over_all_users_met():
    """Without noise: after 6 rounds = nodes of 4 and 2 rounds, the matrix is sqrt(4) I + sum x x^T, whose trace is the
    number of users, since features have length 1: 3 x 2 + 6 x 5 x 4 = 126; and each round says its regret."""
    p = plan(rounds=6)
    state, events = run(p, 6)
    gram, bias = known(p, state)
    assert float(gram.trace()) == pytest.approx(126)
    assert float(torch.linalg.eigvalsh(gram)[0]) >= 2 - 1e-9
    losses = [e["train_loss"] for e in events if e["event"] == "RoundEnded"]
    figures = p.experiment.local.figures(p, state)
    assert figures["regret_in_all"] == pytest.approx(sum(losses) * 20)
    assert figures["regret"] == pytest.approx(sum(losses) / 6)
    theta = torch.linalg.solve(gram, bias)
    assert float(theta @ p.experiment.task.theta()) > 0.7   # it points the right way


@pytest.mark.parametrize("privacy", ["silo", "shuffle", "vector sum"])
def test_noise_has_the_deviation_that_is_told(privacy):
    """Of what 400 silos send in a round, against their true nodes: sigma on the diagonal and on the vector, and off
    the diagonal sigma / sqrt(2), where the matrix is made symmetric. Within 5 %, the first of a tree over 8 rounds."""
    p = plan(silos=400, privacy=privacy, epsilon=0.5, task=LinearBandit(silos=400, users=50, arms=4, dimension=3))
    local, world = p.experiment.local, p.world
    ids = torch.arange(400)
    cohort, _ = p.experiment.schedule.next(world, run(p, 0)[0])
    sent = []
    for draw in range(6):
        trained = local.train(world, run(p, 0)[0].model.expand(400, -1), cohort, local.init(world).of(ids),
                              seeds.keys(draw, "training", 1, ids), None, never)
        sent.append(trained.extras["update"] - trained.own["nodes"][:, 0])
    noise, sigma = torch.cat(sent), local.sigma(world)
    off = sigma if privacy == "vector sum" else sigma / 2**0.5
    assert noise[:, [0, 3, 5, 6, 7, 8]].std().item() == pytest.approx(sigma, rel=0.05)   # (0,0) (1,1) (2,2), vector
    assert noise[:, [1, 2, 4]].std().item() == pytest.approx(off, rel=0.05)
    assert abs(noise.mean().item()) < 4 * sigma / noise.numel() ** 0.5


def test_a_vector_sum_by_hand():
    """500 users, d = 5, epsilon 1, delta 0.1: g = ceil(2 sqrt 500) = 45, b = ceil((45 ln 250)^2 / 500) = 124, a number
    from 0 to 214: 8 bits. The analyser's sum is the true one plus whole steps of 1 / 45, less b n / 4 of them."""
    assert (grid(500, 5), coins(500, 5, 1.0, 0.1), bits(500, 5, 1.0, 0.1)) == (45, 124, 8)
    vectors = torch.tensor([0.2, -1.0, 1.0]).double().expand(1, 500, 3)   # 0.2 x 45 is whole: nothing is rounded
    said = vector_sum(vectors, 1.0, 500, 5, 1.0, 0.1, seeds.keys(0, "users", 0, torch.arange(1)))[0]
    steps = (said - vectors.sum(1)[0]) * 45 + 500 * 124 / 4
    torch.testing.assert_close(steps, steps.round())
    assert float((steps / (500 * 124) - 0.25).abs().max()) < 5 * (3 / 16 / 62000) ** 0.5


def test_counting_one_silos_noise_leaves_a_matrix_that_is_no_sum_of_squares():
    """The published correction: lambda must outweigh the noise of all silos, sqrt(400) = 20 times that of one. After 7
    rounds 3 nodes are known, whose noise has deviation sqrt(1200) sigma in an entry, beyond 2 (sqrt(8.6) + sqrt(3)) =
    9.3 sigma and below 20 times that; sigma = 304 outweighs the 400 x 35 users here."""
    p, wrong = (plan(silos=400, privacy="silo", epsilon=0.01, corrected=c) for c in (True, False))
    local = p.experiment.local
    assert local.sigma(p.world) == pytest.approx(304, abs=1)
    assert local.ridge(p.world) / wrong.experiment.local.ridge(p.world) == pytest.approx(20)
    least = [q.experiment.local.figures(q, run(q, 7)[0])["least_eigenvalue"] for q in (p, wrong)]
    assert least[0] > 0 > least[1]
    assert any("Counting that of one silo (our reading" in note for note in p.notes)


def test_bytes_are_a_triangle_and_a_vector_a_synchronisation_each_way():
    """d = 3: 6 + 3 numbers of 4 bytes in float32 (8 in float64), 4 silos, 8 rounds: 1152 bytes each way."""
    for precision, size in (("float32", 4), ("float64", 8)):
        ended = [e for e in run(plan(precision=precision), 8)[1] if e["event"] == "RoundEnded"]
        assert len(ended) == 8
        assert sum(e["bytes_up"] for e in ended) == sum(e["bytes_down"] for e in ended) == 9 * size * 4 * 8


def test_times_of_messages_do_not_depend_on_users_here_and_do_elsewhere():
    """All users but one have arm (1, 0), so V = diag(1 + t, 1) doubles after users 1, 3, 7, 15, 31 …; user 42, with
    (0, 1), doubles it at once (1 + 1 = 2). Who it was can be read off the times alone; noise never entered them."""
    usual, other = torch.tensor([[1.0, 0.0]]).repeat(60, 1), torch.tensor([0.0, 1.0])
    assert [t + 1 for t in sync_times(usual).nonzero().flatten().tolist()] == [1, 3, 7, 15, 31]
    told = 0
    for user in range(60):
        secret = usual.clone()
        secret[user] = other
        found = suspects(sync_times(secret), usual, other)
        assert user in found
        told += found == [user]
    assert told >= 50


def test_what_is_shown_and_said():
    """After 5 = 101 in binary rounds of 8: the node of rounds 1 to 4 and that of round 5 are in what is known. And a
    shuffler of 4 silos amplifies nothing: ln(4 / (16 ln 20)) is below 0."""
    p = plan(privacy="shuffle", epsilon=0.5)
    state, _ = run(p, 5)
    views = p.experiment.local.shows(p, state, None)
    assert [v[:3] for v in views["nodes"].values if v[3]] == [(0, 5, 5), (2, 1, 4)]
    mean, least, most = views["regret"].values
    assert least <= mean <= most and mean == pytest.approx(p.experiment.local.figures(p, state)["regret"])
    assert any("no amplification is proven" in note for note in p.notes)


def test_a_linear_bandit_is_what_it_says():
    """Features and theta of length 1, the label the arm of the largest mean reward, all silos of one size."""
    task = LinearBandit(silos=3, users=40, arms=6, dimension=4)
    d = task.load()
    assert d.x.shape == (120, 6, 4) and torch.bincount(d.client).tolist() == [40, 40, 40]
    torch.testing.assert_close(d.x.norm(dim=2), torch.ones(120, 6))
    assert float(task.theta().norm()) == pytest.approx(1)
    assert torch.equal(d.y, torch.stack([(row.double() @ task.theta()).argmax() for row in d.x]))
    assert not torch.equal(d.x[:40], LinearBandit(silos=3, users=40, arms=6, dimension=4, draw=1).load().x[:40])


def test_what_it_cannot_work_with_is_said():
    with pytest.raises(fl.BadInput, match="task to 'linear_bandit'"):
        fl.Experiment(name="no", task=fl.Digits(), local=LinUCB(), aggregate=fl.Mean(weights="uniform"))
    with pytest.raises(fl.BadInput, match="local.epsilon = 2 is more than"):
        plan(privacy="shuffle", epsilon=2.0)
    with pytest.raises(fl.BadInput, match="are 45, and a silo has 40 to meet"):
        plan(rounds=9)
    with pytest.raises(fl.BadInput, match="reads the features of arms"):
        e = fl.Experiment(name="no", task=fl.Digits(), net=LinearStatistics())
        world_of(e, torch.device("cpu"))
    with pytest.raises(fl.BadInput, match="lower one of them"):
        LinearBandit(users=100_000, arms=1000).load()
    with pytest.raises(fl.BadInput, match="needs every silo"):
        p = plan()
        e = p.experiment.changed(**{"schedule.dropout": 0.5})
        prepare(e, world_of(e, torch.device("cpu")))
