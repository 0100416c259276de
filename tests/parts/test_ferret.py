"""Seeded projections: one by hand, right on average, as wrong as the paper says, and how many bytes they take."""

import math

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import seeds
from fedlab_widgets.encode import SeededProjection, seeded_projection
from fedlab_widgets.encode.seeded_projection import variance
from fedlab_widgets.plan import prepare
from fedlab_widgets.types import Block, Memory, Space
from fedlab_widgets.world import world_of

KEYS = seeds.keys(1, "encode", 1, torch.arange(200))


def space(*sizes):
    return Space((Block("update", sum(sizes), shapes=tuple((n,) for n in sizes)),))


def through(codec, rows, where, keys=KEYS):
    arrays, _ = codec.encode(rows, where, keys[:len(rows)], Memory())
    return arrays, codec.decode(arrays, where)


def test_the_variance_of_a_normal_number_that_is_cut_off():
    """At 1: 1 - 2 phi(1) / (2 Phi(1) - 1) = 1 - 0.483941 / 0.682689 = 0.291126. At 1/sqrt(2), phi = 0.398942 e^(-1/4) =
    0.310697 and 2 Phi - 1 = erf(1/2) = 0.520500: 1 - 1.414214 x 0.310697 / 0.520500 = 0.155830. Small: 1 / (3 d)."""
    assert variance(1) == pytest.approx(0.291126, abs=1e-6)
    assert variance(2) == pytest.approx(0.155830, abs=2e-6)
    assert variance(10**6) == pytest.approx(1e-6 / 3, rel=1e-6)


def test_two_directions_by_hand():
    """x = (1, 0), K = 2: gamma_k = v_k[0] / (2 x 0.155830), and gamma_1 v_1 + gamma_2 v_2 arrives. An entry with chance
    u of a smaller one is sqrt(2) erfinv((2 u - 1) erf(1/2)), for d = 2 between -0.7071 and 0.7071."""
    arrays, arrived = through(SeededProjection(count=2), torch.tensor([[1.0, 0.0]]), space(2))
    u = torch.stack([seeds.uniforms(seeds.fold(seeds.fold(KEYS[0], 0), k), 2) for k in (0, 1)]).double()
    v = math.sqrt(2) * torch.erfinv((2 * u - 1) * 0.5204999)
    assert float(v.abs().max()) < 0.70711
    gamma = v[:, 0] / (2 * 0.155830)
    assert torch.allclose(arrays["coefficients"][0].double(), gamma, rtol=1e-4)
    assert torch.allclose(arrived[0].double(), gamma @ v, atol=1e-4)
    assert arrays["budgets"].tolist() == [[2]] and arrays["seed"].tolist() == [[int(KEYS[0])]]


def test_right_on_average_and_as_wrong_as_the_square_root_of_d_over_k():
    """Over 200 draws. The relative length of what is wrong falls as K^-0.5."""
    x = seeds.normals(KEYS[7], 160)
    errors = []
    for K in (16, 64, 256):
        _, arrived = through(SeededProjection(count=K), x.expand(200, -1), space(160))
        along = float(arrived.double().mean(0) @ x.double() / x.double().square().sum())
        if K >= 64:
            assert abs(along - 1) < 0.03
        errors.append(float(((arrived - x).square().sum(1) / x.square().sum()).mean()))
        assert errors[-1] == pytest.approx(160 / K, rel=0.1)
    slope = math.log(errors[-1] / errors[0]) / 2 / math.log(16)
    assert abs(slope + 0.5) < 0.05


def test_each_block_errs_by_its_own_budget():
    """Lengths 9 and 1 of 256 directions: 2 + 252 x 0.9 = 228.8 and 2 + 25.2 = 27.2; the larger remainder rounds up, so
    229 and 27. Errors are 200 / 229 and 40 / 27 times the squared lengths."""
    x = torch.cat([9 * torch.nn.functional.normalize(seeds.normals(KEYS[8], 200), dim=0),
                   torch.nn.functional.normalize(seeds.normals(KEYS[9], 40), dim=0)])
    arrays, arrived = through(SeededProjection(count=256), x.expand(200, -1), space(200, 40))
    assert arrays["budgets"].unique(dim=0).tolist() == [[229, 27]]
    wrong = (arrived - x).square()
    assert float(wrong[:, :200].sum(1).mean()) / 81 == pytest.approx(200 / 229, rel=0.1)
    assert float(wrong[:, 200:].sum(1).mean()) == pytest.approx(40 / 27, rel=0.1)


def test_budgets():
    """10 directions, two each, 4 to share. Lengths 1 : 1 : 2 share them as 1, 1, 2. Lengths 1 : 1 : 1 as 4/3 each: the
    first of equal remainders rounds up. Nothing moved: alike. 3 directions for 2 blocks: one each, and one more."""
    of = SeededProjection(count=10).budgets
    lengths = torch.tensor([[1.0, 1, 2], [5, 5, 5], [0, 0, 0]])
    assert of(lengths).tolist() == [[3, 3, 4], [4, 3, 3], [4, 3, 3]]
    assert SeededProjection(count=3).budgets(torch.tensor([[0.0, 1]])).tolist() == [[1, 2]]


def test_a_row_of_zeros_arrives_as_zeros():
    arrays, arrived = through(SeededProjection(count=16), torch.zeros(2, 50), space(30, 20))
    assert not arrays["coefficients"].any() and not arrived.any()


def test_bits_depend_neither_on_how_many_are_drawn_at_once_nor_on_who_is_beside(monkeypatch):
    """Clients of other budgets beside one make it do more rounds, which must add exact zeros."""
    rows = seeds.normals(KEYS[:6], 70) * torch.cat([torch.ones(6, 40), torch.logspace(-3, 3, 6)[:, None].expand(6, 30)],
                                                   1)
    codec, where = SeededProjection(count=40), space(40, 30)
    arrays, arrived = through(codec, rows, where)
    assert len(arrays["budgets"].unique(dim=0)) > 3
    monkeypatch.setattr(seeded_projection, "TILE", 500)
    again, same = through(codec, rows, where)
    assert torch.equal(arrived, same) and torch.equal(arrays["coefficients"], again["coefficients"])
    for i in range(0, 6, 2):
        few, its = through(codec, rows[i:i + 2], where, KEYS[i:])
        assert torch.equal(its, arrived[i:i + 2]) and torch.equal(few["coefficients"], arrays["coefficients"][i:i + 2])


def test_bytes_do_not_depend_on_the_net():
    """4 K + 8 + 4 L: of 256 coefficients and the 4 tensors of a net with a hidden layer 1048, whatever its width;
    FedAvg sends 4 x 4810 = 19,240 for 64 hidden units, 18.4 times as much, and 4 x 19,210 = 76,840 for 256."""
    e = _ferret()
    for hidden, whole in ((64, 19_240), (256, 76_840)):
        plan = prepare(e.changed(**{"net.of.hidden": (hidden,)}),
                       world_of(e.changed(**{"net.of.hidden": (hidden,)}), torch.device("cpu")))
        assert e.encode.price(plan.space, torch.float32) == 4 * 256 + 8 + 4 * 4 == 1048
        assert fl.Update().price(plan.space, torch.float32) == whole
    codec, rows, where = e.encode, torch.ones(2, 60), space(40, 10, 6, 4)
    payload = codec.payload(codec.encode(rows, where, KEYS[:2], Memory())[0], where, rows.dtype)
    packed = [codec.pack(payload, i) for i in (0, 1)]
    assert [len(p) for p in packed] == payload.bytes.tolist() == [1048, 1048]
    back = codec.unpack(packed, where, rows.dtype)
    assert all(torch.equal(back.tensors[n], t) for n, t in payload.tensors.items())


def _ferret():
    from fedlab_widgets.recipes.ferret import ferret
    return ferret.experiment


def test_what_it_says_before_a_run():
    e = _ferret()
    with pytest.raises(fl.BadInput, match="count = 7 is fewer than two .* 4 tensors .* at least 8"):
        prepare(e.changed(**{"encode.count": 7}), world_of(e, torch.device("cpu")))
    many = prepare(e.changed(**{"encode.count": 5000}), world_of(e, torch.device("cpu")))
    assert any("5000 numbers for a row of 4810" in note for note in many.notes)


def test_it_learns_as_fedavg_does_for_an_eighteenth_of_the_bytes(tmp_path):
    e = _ferret().changed(rounds=6, **{"evaluate.every": 6, "evaluate.readings": (fl.Accuracy(),)})
    mine = fl.run(e, tmp_path / "ferret", progress=False)
    plain = fl.run(e.changed(encode="update"), tmp_path / "plain", progress=False)
    assert mine.history["bytes_up"].sum() == 6 * 5 * 1048
    assert plain.history["bytes_up"].sum() == 6 * 5 * 19_240
    assert mine.history["accuracy"].iloc[-1] > plain.history["accuracy"].iloc[-1] - 0.05
