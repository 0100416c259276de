"""Few labels, different sizes, different features: exact counts on made-up rows."""

import math

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import seeds
from fedlab_widgets.partition import Quantity, Shards
from fedlab_widgets.partition.natural import client_names
from fedlab_widgets.shards import Data
from fedlab_widgets.world import world_of

KEY = seeds.keys(1, "partition", 0, 0)


def data(y, x=None):
    y = torch.tensor(y)
    x = torch.arange(float(len(y)))[:, None] if x is None else x
    return Data(x, y, y * 0, x, y, y * 0, labels=("a", "b", "c"), groups=("all",))


def test_shards_cut_the_labels_in_order():
    # Labels 000000 111 222 in six pieces of two: 00 00 00 11 12 22, one for each of six clients, in some order.
    y = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 0]
    owner = Shards(clients=6, shards=1).assign(data(y), KEY)
    held = [sorted(label for label, o in zip(y, owner, strict=True) if o == i) for i in range(6)]
    assert sorted(held) == [[0, 0], [0, 0], [0, 0], [1, 1], [1, 2], [2, 2]] and held != sorted(held)


def test_shards_are_dealt_out_evenly():
    # 7 rows in 3 pieces: row r is in piece floor(3 r / 7), so 3, 2 and 2. Two pieces each: 6 pieces of 13 rows are 3,
    # 2, 2, 2, 2, 2, and the clients hold 5, 4 and 4.
    assert sorted(torch.bincount(Shards(clients=3, shards=1).assign(data([0] * 7), KEY)).tolist()) == [2, 2, 3]
    assert sorted(torch.bincount(Shards(clients=3, shards=2).assign(data([0] * 13), KEY)).tolist()) == [4, 4, 5]


def test_rows_of_one_label_are_shuffled_before_they_are_cut():
    owner = Shards(clients=2, shards=1).assign(data([0] * 20), KEY)
    assert torch.bincount(owner).tolist() == [10, 10] and int((owner.diff() != 0).sum()) > 1
    assert not torch.equal(owner, Shards(clients=2, shards=1).assign(data([0] * 20), seeds.keys(2, "partition", 0, 0)))


def test_more_pieces_than_rows_are_refused():
    with pytest.raises(fl.BadInput, match="shards = 4 for 3 clients makes 12 pieces of 7 training rows.*at most 2"):
        Shards(clients=3, shards=4).assign(data([0] * 7), KEY)


def test_sizes_by_a_power_law():
    # Shares 1, 1/2, 1/3, 1/4 of 25/12 are 0.48, 0.24, 0.16, 0.12: of 25 rows 12, 6, 4, 3. With two rows for each first,
    # of 33 rows the same 25 are left.
    assert torch.bincount(Quantity(clients=4, min_rows=0).assign(data([0] * 25), KEY)).tolist() == [12, 6, 4, 3]
    owner = Quantity(clients=4, power=1, min_rows=2).assign(data([0] * 33), KEY)
    assert torch.bincount(owner).tolist() == [14, 8, 6, 5]
    assert int((owner.diff() != 0).sum()) > 8, "rows should go out at random"
    assert torch.bincount(Quantity(clients=4, power=0).assign(data([0] * 24), KEY)).tolist() == [6, 6, 6, 6]


def test_sizes_by_chance():
    # Gamma(1) is the exponential distribution: its inverse cdf is -log(1 - u), and shares are normalised.
    draws = [-math.log(1 - u) for u in seeds.uniforms(seeds.fold(KEY, 1), 4, torch.float64).tolist()]
    cuts = [0, *(round(sum(draws[:i + 1]) / sum(draws) * 100) for i in range(4))]
    owner = Quantity(clients=4, beta=1, min_rows=0).assign(data([0] * 100), KEY)
    assert torch.bincount(owner, minlength=4).tolist() == [b - a for a, b in zip(cuts, cuts[1:], strict=False)]


def test_nobody_goes_without_rows():
    # 3^-10 of 100 rows is none; two each all the same, and 9 rows for 5 clients are one each and four for the largest.
    assert torch.bincount(Quantity(clients=5, power=10).assign(data([0] * 100), KEY)).tolist() == [92, 2, 2, 2, 2]
    assert torch.bincount(Quantity(clients=5, power=10).assign(data([0] * 9), KEY)).tolist() == [5, 1, 1, 1, 1]


def test_one_law_at_a_time():
    assert Quantity(beta=0.5).power is None and Quantity().beta is None
    with pytest.raises(fl.BadInput, match="one of power or beta"):
        Quantity(power=1, beta=0.5)


def test_images_are_turned_by_who_holds_them():
    # Against the clock: 1 2 / 3 4 becomes 2 4 / 1 3, then 4 3 / 2 1, then 3 1 / 4 2; client 4 is upright again.
    image = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    rows, owner = data([0] * 5, image.expand(5, 1, 2, 2)), torch.arange(5)
    turned = fl.Rotated().seen(rows, owner, KEY)
    assert turned.x.flatten(1).tolist() == [[1, 2, 3, 4], [2, 4, 1, 3], [4, 3, 2, 1], [3, 1, 4, 2], [1, 2, 3, 4]]
    assert torch.equal(turned.test_x, rows.test_x) and torch.equal(turned.y, rows.y)
    two = fl.Rotated(turns=2).seen(rows, owner, KEY).x.flatten(1)
    assert two[0].tolist() == two[2].tolist() == [1, 2, 3, 4] and two[1].tolist() == two[3].tolist() == [2, 4, 1, 3]
    with pytest.raises(fl.BadInput, match=r"square images.*\[1\]; choose partition=noisy"):
        fl.Rotated().seen(data([0] * 5), owner, KEY)


def test_a_run_sees_the_turned_images():
    parts = [fl.IID(clients=6), fl.Rotated(of=fl.IID(clients=6))]
    plain, turned, shared = (world_of(fl.Experiment(task=fl.Digits(), partition=p), torch.device("cpu")).shards
                             for p in (*parts, fl.Reuse(clients=12, of=parts[1])))
    for i in range(6):
        mine = slice(int(plain.offsets[i]), int(plain.offsets[i] + plain.rows[i]))
        for other in (turned, shared):
            assert torch.equal(other.x[mine], torch.rot90(plain.x[mine], i % 4, (-2, -1))), i
            assert torch.equal(other.y[mine], plain.y[mine])


def test_noise_grows_from_client_to_client():
    # sigma = 2 over four clients: 0.5, 1, 1.5, 2. Of 40 000 draws a standard deviation is known to 1 / sqrt(80 000).
    rows, owner = data([0] * 4, torch.ones(4, 40_000)), torch.tensor([2, 0, 3, 1])
    noise = fl.Noisy(sigma=2, of=fl.IID(clients=4)).seen(rows, owner, KEY).x - 1
    assert noise.std(1).tolist() == pytest.approx([1.5, 0.5, 2.0, 1.0], rel=5 / math.sqrt(80_000))
    assert noise.mean(1).abs().max() < 5 * 2 / 200
    assert torch.equal(rows.x, torch.ones(4, 40_000)) and torch.equal(
        fl.Noisy(sigma=0, of=fl.IID(clients=4)).seen(rows, owner, KEY).x, rows.x)


def test_noise_of_a_row_is_its_own(monkeypatch):
    from fedlab_widgets.partition import noisy

    rows, owner = data([0] * 50, torch.zeros(50, 3)), torch.arange(50) % 10
    whole = fl.Noisy().seen(rows, owner, KEY).x
    monkeypatch.setattr(noisy, "AT_ONCE", 9)
    assert torch.equal(fl.Noisy().seen(rows, owner, KEY).x, whole) and len(whole.unique()) == 150


def test_clients_by_a_column_of_words():
    """Adult's people by where they work: as many clients as values, and every row with its own."""
    adult = fl.Adult().load()
    natural = fl.Natural(column="workclass")
    owner, names = natural.assign(adult, None), client_names(natural, adult)
    assert natural.count(adult) == len(names) == 9 and "Private" in names
    x = adult.x[:, adult.features.index("workclass=Private")]
    assert bool(((owner == names.index("Private")) == (x == 1)).all())
    assert torch.bincount(owner).min() == 7      # Never-worked, in the training rows
    with pytest.raises(fl.BadInput, match=r"partition.column = 'age' is no column of words in these data; there are"):
        fl.Natural(column="age").count(adult)
