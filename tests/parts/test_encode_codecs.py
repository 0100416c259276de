"""Codecs: what is on the wire bit for bit, what arrives, what is right on average and what is never lost."""

import importlib
import struct
from dataclasses import dataclass

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import encode, seeds
from fedlab_widgets.encode import Drive, Float16, LowRank, Quantise, RandomMask, Sign, TopK
from fedlab_widgets.encode.bitplanes import bytes_for, packed, unpacked
from fedlab_widgets.encode.drive import hadamard
from fedlab_widgets.figure_bytes import accuracy_per_megabyte
from fedlab_widgets.types import Block, Memory, Space, Table

KEYS = seeds.keys(1, "encode", 1, torch.arange(2000))
ALL = [Drive(), Float16(), Float16(format="bfloat16"), LowRank(), LowRank(feedback=False), Quantise(), RandomMask(),
       RandomMask(feedback=True), Sign(), Sign(feedback=False)]


@dataclass(frozen=True)
class Tensors(Block):
    """A block that says which tensors lie in it."""

    shapes: tuple[tuple[int, ...], ...] = ()


def space(width, *shapes):
    return Space((Tensors("update", width, shapes=shapes),))


def sent(codec, rows, where=None, mine=None):
    """(arrays, memory afterwards, what arrives) of rows given as a list or as a tensor."""
    rows = torch.tensor(rows) if isinstance(rows, list) else rows
    where = where or space(rows.shape[1])
    arrays, mine = codec.encode(rows, where, KEYS[:len(rows)], mine or Memory())
    return arrays, mine, codec.decode(arrays, where)


def on_the_wire(codec, arrays, where):
    payload = codec.payload(arrays, where, torch.float32)
    return codec.pack(payload, 0)


def empty(width, **more):
    return Memory({"residual": torch.zeros(1, width), **more})


# --- one number by hand for each ------------------------------------------------------------------------------------

def test_bits_of_codes():
    """Three codes of two bits: 1, 2, 3 have the lowest bits 1, 0, 1 (byte 5) and the next bits 0, 1, 1 (byte 6)."""
    assert packed(torch.tensor([[1, 2, 3]]), 2).tolist() == [[5, 6]]
    for bits, width in ((1, 8), (3, 9), (16, 17)):
        codes = seeds.integers(KEYS[:4], width, 1 << bits)
        raw = packed(codes, bits)
        assert raw.shape == (4, bytes_for(width, bits)) == (4, bits * ((width + 7) // 8))
        assert torch.equal(unpacked(raw, bits, width).long(), codes)


def test_half_precision():
    """[3, 1] is 3 times [1, 1/3]. To 11 bits 1/3 is 1365/4096, to 8 bits 171/512; times 3 it is 0.99976 and 1.00195."""
    arrays, _, arrived = sent(Float16(), [[3.0, 1.0]])
    assert arrived.tolist() == [[3.0, 3 * 1365 / 4096]]
    assert on_the_wire(Float16(), arrays, space(2)) == struct.pack("<eef", 1, 1 / 3, 3)
    assert sent(Float16(format="bfloat16"), [[3.0, 1.0]])[2].tolist() == [[3.0, 3 * 171 / 512]]


def test_half_precision_has_no_range_to_leave():
    """Of 1e6, which float16 does not hold, and of 1e-9, which is zero in it, the relative error is below 2^-11."""
    rows = seeds.normals(KEYS[:2], 50) * torch.tensor([[1e6], [1e-9]])
    arrived = sent(Float16(), rows)[2]
    assert ((arrived - rows).abs() <= 2**-11 * rows.abs() + 2**-24 * rows.abs().amax(1, True)).all()


def test_signs_and_their_mean_size_over_two_rounds():
    """[3, -1, 2, 0]: size 6/4 = 1.5 and signs + - + +, bits 0100 from the left: byte 2. Kept: [1.5, .5, .5, -1.5].
    Then [0, 0, 0, 0] + kept: size 4/4 = 1, signs + + + -: byte 8. Kept: [.5, -.5, -.5, -.5].
    """
    mine = empty(4)
    for row, byte, size, arrives, kept in (
            ([3.0, -1.0, 2.0, 0.0], 2, 1.5, [1.5, -1.5, 1.5, 1.5], [1.5, 0.5, 0.5, -1.5]),
            ([0.0] * 4, 8, 1.0, [1.0, 1.0, 1.0, -1.0], [0.5, -0.5, -0.5, -0.5])):
        arrays, mine, arrived = sent(Sign(), [row], mine=mine)
        assert on_the_wire(Sign(), arrays, space(4)) == struct.pack("<Bf", byte, size)
        assert arrived.tolist() == [arrives] and mine.own["residual"].tolist() == [kept]
    assert Sign().price(space(10_000), torch.float32) == 1250 + 4


def test_levels():
    """[3, -4] has length 5: of 5 levels these are the third and the fourth exactly, so that nothing is drawn. A code is
    3 bits and the sign: 0011 and 1100, in planes from the lowest bit: bytes 1, 1, 2, 2."""
    codec = Quantise(levels=5)
    arrays, _, arrived = sent(codec, [[3.0, -4.0]])
    assert on_the_wire(codec, arrays, space(2)) == struct.pack("<BBBBf", 1, 1, 2, 2, 5)
    assert arrived.tolist() == [[3.0, -4.0]]


def test_one_level_is_a_sign_or_nothing():
    """[3, 4], length 5, one level: 5 or 0, with chance 3/5 and 4/5. Mean square error 25 (.6 .4 + .8 .2) = 10; over
    2,000 draws its deviation is 0.15."""
    arrived = sent(Quantise(levels=1), torch.tensor([[3.0, 4.0]]).expand(2000, 2))[2]
    assert set(arrived.flatten().tolist()) == {0.0, 5.0}
    assert float((arrived - torch.tensor([3.0, 4.0])).square().sum(1).mean()) == pytest.approx(10, abs=0.6)


def test_buckets_have_a_length_each():
    """Two entries a bucket: [3, 4] and [0, -7] have lengths 5 and 7, and a control of one column has its own. A code of
    5 levels takes 4 bits, and 5 columns a byte a plane: 4 bytes and three lengths."""
    where = Space((Block("update", 4), Block("control", 1)))
    codec = Quantise(levels=5, bucket=2)
    arrays, _, arrived = sent(codec, [[3.0, 4.0, 0.0, -7.0, 0.5]], where)
    assert arrays["norms"].tolist() == [[5.0, 7.0, 0.5]] and arrived.tolist() == [[3.0, 4.0, 0.0, -7.0, 0.5]]
    assert codec.price(where, torch.float32) == 4 + 3 * 4
    assert Quantise(levels=16, bucket=10_000).price(space(10_000), torch.float32) == 6 * 1250 + 4   # d (1 + 5) / 8 + 4


def test_random_places_follow_from_the_seed():
    """Half of four entries, times 4/2: what arrives is twice the row at two places, else zero; 8 + 2 * 4 bytes."""
    codec, row = RandomMask(fraction=0.5), torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    arrays, _, arrived = sent(codec, row)
    places = arrived[0].nonzero()[:, 0]
    assert len(places) == 2 and torch.equal(arrived[0, places], 2 * row[0, places])
    assert on_the_wire(codec, arrays, space(4))[:8] == struct.pack("<q", int(KEYS[0]))
    assert codec.price(space(4), torch.float32) == 16
    kept = sent(RandomMask(fraction=0.5, feedback=True), row, mine=empty(4))
    assert torch.equal(kept[2], arrived / 2) and torch.equal(kept[1].own["residual"], row - arrived / 2)
    other = RandomMask(fraction=0.5).encode(row.expand(20, 4), space(4), KEYS[:20], Memory())[0]
    assert len({tuple(v) for v in other["values"].sort(1).values.tolist()}) > 2   # each client draws its own places


def test_rotated_signs():
    """An entry alone, [8, 0, …]: turned, all 8 coordinates have the size 8 / sqrt(8): one bit and a size tell it all.
    [1, 1, 0, …]: four coordinates of size 2 / sqrt(8) and four zeros: |y|^2 = 2, |y|_1 = 8 / sqrt(8), scale sqrt(1/2).
    [3, 1, 0, …]: (3 +- 1) / sqrt(8) has the sign of the 3, whatever the seed: scale = 10 / (24 / sqrt(8)), and
    (10/3, 0) arrives. A short row is not right on average.
    """
    rows = torch.zeros(3, 8)
    rows[0, 0], rows[1, :2], rows[2, :2] = 8, 1, torch.tensor([3.0, 1.0])
    arrays, _, arrived = sent(Drive(), rows)
    assert arrived[0].tolist() == pytest.approx(rows[0].tolist(), abs=1e-5)
    assert arrays["scale"][:, 0].tolist() == pytest.approx([8**0.5, 0.5**0.5, 10 * 8**0.5 / 24], rel=1e-5)
    assert arrived[2].tolist() == pytest.approx([10 / 3] + 7 * [0], abs=1e-5)
    assert Drive().price(space(8), torch.float32) == 1 + 4 + 8
    assert Drive(log2_piece=14).price(space(10_000), torch.float32) == 16_384 // 8 + 12   # d' / 8 + 12


def test_what_is_turned_keeps_its_length_along_the_row():
    """scale |y|_1 = |y|^2, so the inner product of what arrives with the row is the row's square, whatever the seed."""
    rows = seeds.normals(KEYS[:5], 3000).double()
    arrived = sent(Drive(), rows)[2]
    assert torch.allclose((arrived * rows).sum(1), rows.square().sum(1))
    x = rows[:, :64]
    assert torch.allclose(hadamard(hadamard(x)), x) and torch.allclose(hadamard(x).norm(dim=1), x.norm(dim=1))


def test_one_step_of_power_iteration():
    """diag(3, 1, 0) with the basis (1, 1, 0): P = (3, 1, 0) / sqrt 10, Q = (9, 1, 0) / sqrt 10, P Q^T =
    [[2.7, .3, 0], [.9, .1, 0], 0]; what is kept is the difference, and the next basis is Q. The bias goes as it is."""
    where, codec = space(11, (3, 3), (2,)), LowRank()
    rows = torch.zeros(1, 11, dtype=torch.float64)
    rows[0, [0, 4, 9, 10]] = torch.tensor([3.0, 1.0, 7.0, 8.0], dtype=torch.float64)
    mine = empty(11, basis=torch.tensor([[1.0, 1.0, 0.0]], dtype=torch.float64))
    arrays, mine, arrived = sent(codec, rows, where, mine)
    assert arrived[0].tolist() == pytest.approx([2.7, 0.3, 0, 0.9, 0.1, 0, 0, 0, 0, 7, 8], abs=1e-12)
    assert mine.own["residual"][0].tolist() == pytest.approx([0.3, -0.3, 0, -0.9, 0.9, 0, 0, 0, 0, 0, 0], abs=1e-12)
    assert mine.own["basis"].abs()[0].tolist() == pytest.approx([9 / 10**0.5, 1 / 10**0.5, 0], abs=1e-12)
    assert codec.price(where, torch.float32) == 4 * (3 + 3 + 2)


def test_a_warm_start_finds_the_largest_direction():
    """Of diag(3, 1, 0) the second direction shrinks by (1/3)^2 a round: after ten only 3 in the corner is left."""
    where, codec = space(9, (3, 3)), LowRank(feedback=False)
    rows = torch.diag(torch.tensor([3.0, 1.0, 0.0])).view(1, 9)
    mine = Memory({"basis": torch.ones(1, 3)})
    for _ in range(10):
        _, mine, arrived = sent(codec, rows, where, mine)
    assert arrived[0].tolist() == pytest.approx([3] + 8 * [0], abs=1e-5)


def test_a_matrix_of_that_rank_arrives_whole():
    """Rank two of a kernel [4, 2, 3, 3], that is of a matrix [4, 18]: 2 (4 + 18) = 44 numbers for 72."""
    where, codec = space(72, (4, 2, 3, 3)), LowRank(rank=2)
    left, right = seeds.normals(KEYS[:3], 8).view(3, 4, 2), seeds.normals(KEYS[3:6], 36).view(3, 2, 18)
    rows = (left.double() @ right.double()).flatten(1)
    world = type("World", (), {"clients": 3, "dtype": torch.float64, "device": torch.device("cpu"),
                               "keys": lambda self, *a: seeds.keys(1, *a)})()
    mine = codec.init(world, where)
    assert isinstance(mine.own["basis"], Table)
    arrived = sent(codec, rows, where, mine.of(torch.arange(3)))[2]
    assert torch.allclose(arrived, rows) and codec.price(where, torch.float32) == 4 * 44
    # Where two factors are no smaller, the matrix goes as it is: 2 (2 + 5) > 10.
    assert codec.matrices(space(12, (2, 5), (2,))) == [] and codec.price(space(12, (2, 5), (2,)), torch.float32) == 48


# --- what they promise ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("codec", [Quantise(), Quantise(levels=1, bucket=16), RandomMask(fraction=0.5), Drive()],
                         ids=str)
def test_right_on_average(codec):
    """Over 2,000 draws the mean of what arrives is the row: within 0.05 of its length, and what chance leaves."""
    row = seeds.normals(KEYS[:1], 100)
    arrived = sent(codec, row.expand(2000, 100))[2]
    off, noise = (arrived.mean(0) - row).norm() / row.norm(), (arrived - row).norm(dim=1).square().mean() / 2000
    assert off <= 0.05 and off <= 1.3 * noise.sqrt() / row.norm()


@pytest.mark.parametrize("codec", [TopK(), Sign(), RandomMask(feedback=True), LowRank()], ids=str)
def test_nothing_is_lost_with_feedback(codec):
    """What arrived over twelve rounds and what is kept at their end are what was learned."""
    where = space(110, (10, 10), (10,))
    mine = Memory({"residual": torch.zeros(3, 110, dtype=torch.float64),
                   "basis": torch.ones(3, 10, dtype=torch.float64)})
    learned = arrived = torch.zeros(3, 110, dtype=torch.float64)
    for t in range(12):
        rows = seeds.normals(seeds.keys(2, "rows", t, torch.arange(3)), 110, torch.float64)
        arrays, after = codec.encode(rows, where, seeds.keys(2, "encode", t, torch.arange(3)), mine)
        mine = Memory(mine.own | after.own)
        learned, arrived = learned + rows, arrived + codec.decode(arrays, where)
    assert torch.allclose(arrived + mine.own["residual"], learned, rtol=0, atol=1e-12)
    assert float(mine.own["residual"].norm()) > 0.1   # something had been left out


@pytest.mark.parametrize("codec", ALL, ids=str)
@pytest.mark.parametrize("rows", [torch.zeros(2, 110), torch.zeros(0, 110), torch.full((1, 110), 1e-30)],
                         ids=["nothing learned", "nobody", "hardly anything"])
def test_edges(codec, rows):
    where = space(110, (10, 10), (10,))
    mine = Memory({"residual": torch.zeros(rows.shape), "basis": torch.ones(len(rows), 10)})
    arrays, _, arrived = sent(codec, rows, where, mine)
    assert arrived.shape == rows.shape and bool(arrived.isfinite().all())
    assert float(arrived.abs().sum()) <= 200 * float(rows.abs().sum())
    for name, (length, kind) in codec.wire(where, torch.float32).items():
        assert arrays[name].shape == (len(rows), length) and arrays[name].dtype == kind


@pytest.mark.parametrize("codec", ALL, ids=str)
def test_what_is_no_number_is_seen_to_be_none(codec):
    """A client whose training exploded must not arrive as a fine update, or the run would go on."""
    rows = torch.ones(1, 110)
    rows[0, 5] = float("nan")
    mine = Memory({"residual": torch.zeros(1, 110), "basis": torch.ones(1, 10)})
    masked = isinstance(codec, RandomMask)   # which may not send it this time
    assert masked or not sent(codec, rows, space(110, (10, 10), (10,)), mine)[2].isfinite().all()


@pytest.mark.parametrize("name", ["qsgd", "signsgd-ef", "powersgd", "random-mask", "drive", "fedpaq"])
def test_recipes_train(name, tmp_path):
    importlib.import_module(f"fedlab_widgets.recipes.{name.replace('-', '_')}")
    recipe = fl.recipe(name).changed(task=fl.Digits(), partition=fl.IID(clients=10), rounds=2)
    run = fl.run(recipe, out=tmp_path / "run", progress=False)
    e, width = run.experiment, 64 * 64 + 64 + 64 * 10 + 10
    assert run.status == "finished" and type(e.encode).__name__ in encode.__all__
    assert run.history.bytes_up.nunique() == 1
    if name != "powersgd":   # whose bytes depend on the shapes
        clients = 5 if name == "fedpaq" else 10
        assert run.history.bytes_up[0] == clients * e.encode.price(space(width), torch.float32) < clients * width


# --- the picture ----------------------------------------------------------------------------------------------------

def test_accuracy_per_megabyte(tmp_path):
    """Two clients send 4,810 numbers of 4 bytes, or 602 bytes of signs and a size: MB after the first of two rounds."""
    runs = {}
    for codec in (fl.Update(), Sign()):
        e = fl.Experiment(task=fl.Digits(), partition=fl.IID(clients=2), encode=codec, rounds=2)
        runs[codec.name] = fl.run(e, out=tmp_path / codec.name, seeds=2, progress=False)
    for given in (runs, list(runs.values())):
        data = accuracy_per_megabyte(given).data
        assert data["run"].tolist() == ["update"] * 2 + ["sign"] * 2 and set(data["seeds"]) == {2}
        assert data["MB up"].tolist() == pytest.approx([0.03848, 0.07696, 0.001212, 0.002424])
        pair = [run.history.accuracy.iloc[1] for run in (runs["sign"], *runs["sign"].replicates)]
        last = data.iloc[-1]
        assert last.accuracy == pytest.approx(sum(pair) / 2)
        assert (last.lowest, last.highest) == (min(pair), max(pair))
    for wrong, said in (({}, "empty"), ([runs["sign"]] * 2, "dictionary")):
        with pytest.raises(fl.BadInput, match=said):
            accuracy_per_megabyte(wrong)
    silent = fl.recipe("local-only").changed(task=fl.Digits(), partition=fl.IID(clients=2), rounds=1)
    with pytest.raises(fl.BadInput, match="sent nothing up"):
        accuracy_per_megabyte([fl.run(silent, out=tmp_path / "silent", progress=False)])
