"""Who holds which rows: exact counts on made-up rows."""

import math

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import seeds
from fedlab_widgets.shards import Data, Shards

KEY = seeds.keys(1, "partition", 0, 0)


def data(y, group, client=None, groups=None):
    y, group = torch.tensor(y), torch.tensor(group)
    x = torch.arange(float(len(y)))[:, None]
    groups = groups or int(group.max()) + 1
    return Data(x, y, group, x, y, group, labels=tuple("ab"), groups=tuple("uvw"[:groups]),
                client=None if client is None else torch.tensor(client))


def held(owner, mask, clients):
    return torch.bincount(owner[torch.tensor(mask)], minlength=clients).tolist()


def test_iid_deals_in_turn():
    # 7 rows in turn to 3 clients: 3, 2, 2.
    owner = fl.IID(clients=3).assign(data([0] * 7, [0] * 7), KEY)
    assert torch.bincount(owner).tolist() == [3, 2, 2]
    other = fl.IID(clients=3).assign(data([0] * 7, [0] * 7), seeds.keys(2, "partition", 0, 0))
    assert owner.tolist() != other.tolist()


def test_by_group_with_two_groups_and_four_clients():
    # 10 rows of u, 20 of v. Of u round(9.0) stay with clients 0 and 1 and 1 goes to 2 or 3; of v 18 stay and 2 go.
    # So clients 0 and 1 share 9 + 2 = 11 rows (6 and 5), clients 2 and 3 share 18 + 1 = 19 (10 and 9).
    group = [0] * 10 + [1] * 20
    owner = fl.ByGroup(clients=4, skew=0.9).assign(data([0] * 30, group), KEY)
    assert torch.bincount(owner).tolist() == [6, 5, 10, 9]
    u, v = held(owner, [g == 0 for g in group], 4), held(owner, [g == 1 for g in group], 4)
    assert (sum(u[:2]), sum(u[2:]), sum(v[:2]), sum(v[2:])) == (9, 1, 2, 18)


def test_by_group_sends_strays_to_the_others_in_turn():
    # 8 rows of u at skew 0.5 among three groups: 4 stay, 2 go to each of the other two homes.
    owner = fl.ByGroup(clients=3, skew=0.5).assign(data([0] * 8, [0] * 8, groups=3), KEY)
    assert torch.bincount(owner).tolist() == [4, 2, 2]


def test_fewer_clients_than_groups():
    # Homes 0 and 2 both live on client 0, home 1 on client 1: 4 + 2 rows and 3.
    owner = fl.ByGroup(clients=2, skew=1).assign(data([0] * 9, [0] * 4 + [1] * 3 + [2] * 2), KEY)
    assert torch.bincount(owner).tolist() == [6, 3]


def test_masked_by_label_and_group():
    # 8 rows with label = group, 12 without; lambda = 0.75 keeps 6 and 9 at home. Client 0: 6 + 3, client 1: 9 + 2.
    y, group = [0] * 4 + [1] * 4 + [0] * 6 + [1] * 6, [0] * 4 + [1] * 4 + [1] * 6 + [0] * 6
    owner = fl.Masked(clients=2, lam=0.75).assign(data(y, group), KEY)
    same = [a == b for a, b in zip(y, group, strict=True)]
    assert held(owner, same, 2) == [6, 2] and held(owner, [not s for s in same], 2) == [3, 9]
    assert fl.Masked(**{"lambda": 0.75}) == fl.Masked(lam=0.75)
    with pytest.raises(fl.BadInput, match="two labels and two groups"):
        fl.Masked().assign(data(y, [0] * 20), KEY)


def test_dirichlet_with_alpha_one_cuts_at_exponential_shares():
    # Gamma(1) is the exponential distribution: its inverse cdf is -log(1 - u), and shares are normalised.
    labels = [0] * 100 + [1] * 60
    owner = fl.Dirichlet(clients=4, alpha=1.0, min_rows=0).assign(data(labels, [0] * 160), KEY)
    for label, rows in ((0, 100), (1, 60)):
        u = seeds.uniforms(seeds.fold(KEY, label + 1), 4, torch.float64).tolist()
        draws = [-math.log(1 - v) for v in u]
        cuts = [0, *(round(sum(draws[:i + 1]) / sum(draws) * rows) for i in range(4))]
        assert held(owner, [y == label for y in labels], 4) == [b - a for a, b in zip(cuts, cuts[1:], strict=False)]


def test_dirichlet_fills_up_the_poor_from_the_rich():
    # alpha = 0.001 gives each label to about one client; all have 2 of 12 rows at least, and none is lost.
    count = torch.bincount(fl.Dirichlet(clients=5, alpha=1e-3).assign(data([0] * 6 + [1] * 6, [0] * 12), KEY))
    assert len(count) == 5 and int(count.min()) == 2 and int(count.sum()) == 12
    # 7 rows for 5 clients cannot give 2 to each: one each then.
    few = fl.Dirichlet(clients=5, alpha=1e-3).assign(data([0] * 7, [0] * 7), KEY)
    assert int(torch.bincount(few, minlength=5).min()) == 1


def test_natural_takes_the_clients_of_the_data():
    rows = data([0] * 4, [0] * 4, client=[2, 0, 2, 1])
    assert fl.Natural().count(rows) == 3 and fl.Natural().assign(rows, KEY).tolist() == [2, 0, 2, 1]
    with pytest.raises(fl.BadInput, match="client="):
        fl.Natural().count(data([0], [0]))


def test_a_fifth_of_each_clients_rows_is_held_out():
    # floor(n / 5) rows: 10 -> 2, 14 -> 2, 4 -> 0, none -> 0; the others are there to learn from.
    owner = torch.tensor([0] * 10 + [1] * 14 + [2] * 4)
    shards = Shards.of(data([0] * 28, [0] * 28), owner, 4, seed=0)
    assert shards.train.tolist() == [8, 12, 4, 0] and shards.offsets.tolist() == [0, 10, 24, 28]
    rows, place = shards.held_out(torch.tensor([0, 1, 2, 3]))
    assert torch.bincount(place, minlength=4).tolist() == [2, 2, 0, 0]
    # Held-out rows belong to their client: x holds the row number, and rows 0 .. 9 are client 0's.
    assert all((shards.x[r, 0] < 10) == (k == 0) for r, k in zip(rows, place, strict=True))
    again = Shards.of(data([0] * 28, [0] * 28), owner, 4, seed=1)
    assert sorted(again.x[:10, 0].tolist()) == sorted(shards.x[:10, 0].tolist()) != again.x[:10, 0].tolist()


def test_clients_share_the_rows_of_few():
    # 7 rows in turn to 3 holdings are 3, 2, 2 rows; of 8 clients 0, 3, 6 have the first, 1, 4, 7 the second, 2, 5 the
    # third. No row of so few is held out, and the ranges begin at rows 0, 3 and 5.
    rows, shared = data([0] * 7, [0] * 7), fl.Reuse(clients=8, of=fl.IID(clients=3))
    assert shared.count(rows) == 8 and shared.holdings(rows) == 3
    owner = shared.assign(rows, KEY)
    assert torch.equal(owner, fl.IID(clients=3).assign(rows, KEY))
    shards = Shards.of(rows, owner, 8, seed=0, holdings=3)
    assert shards.clients == 8 and len(shards.y) == 7, "rows are never copied"
    assert shards.rows.tolist() == shards.train.tolist() == [3, 2, 2, 3, 2, 2, 3, 2]
    assert shards.offsets.tolist() == [0, 3, 5, 0, 3, 5, 0, 3]


def test_held_out_rows_are_shared_as_well():
    # 10 rows of holding 0 and 5 of holding 1, of which 2 and 1 are held out; clients 1 and 3 have the same one row.
    shards = Shards.of(data([0] * 15, [0] * 15), torch.tensor([0] * 10 + [1] * 5), 4, seed=0, holdings=2)
    rows, place = shards.held_out(torch.tensor([1, 2, 3]))
    assert place.tolist() == [0, 1, 1, 2] and rows.tolist() == [14, 8, 9, 14]


def test_rows_of_nobody_and_a_reuse_of_a_reuse_are_refused():
    rows = data([0] * 7, [0] * 7)
    with pytest.raises(fl.BadInput, match="partition.clients = 2 would leave rows with nobody.* give at least 3"):
        fl.Reuse(clients=2, of=fl.IID(clients=3)).count(rows)
    with pytest.raises(fl.BadInput, match="of.*shares rows itself"):
        fl.Reuse(of=fl.Reuse())
    assert fl.Reuse(of=fl.Natural()).count(data([0] * 4, [0] * 4, client=[2, 0, 2, 1])) == 100


def test_who_has_too_little_takes_from_the_largest_by_hand():
    # 6, 4, 0, 0 rows in the order 9 .. 0, at least 2 each: client 2 takes the first two of client 0, rows 9 and 8. Now
    # both have 4, and of equals the first one gives: 7 and 6 to client 3.
    order = torch.arange(9, -1, -1)
    owner = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    assert fl.Dirichlet(clients=4)._fill_up(owner, order).tolist() == [1, 1, 1, 1, 0, 0, 3, 3, 2, 2]
    # 5, 4, 0 rows, at least 3 each: client 0 can give two and keeps three, client 1 gives the third.
    owner = torch.tensor([0] * 5 + [1] * 4)
    filled = fl.Dirichlet(clients=3, min_rows=3)._fill_up(owner, torch.arange(9))
    assert filled.tolist() == [2, 2, 0, 0, 0, 2, 1, 1, 1]
