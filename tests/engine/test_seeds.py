"""Every draw is a pure function of its key: published vectors, alone, in batches, in new processes."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fedlab_widgets import seeds

FULL = 0xFFFFFFFF
VECTORS = [  # Random123, kat_vectors, philox4x32 10
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((FULL,) * 4, (FULL,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
DRAWS = {
    "bits": lambda k, n: seeds.bits(k, n),
    "uniforms32": lambda k, n: seeds.uniforms(k, n),
    "uniforms64": lambda k, n: seeds.uniforms(k, n, torch.float64),
    "normals32": lambda k, n: seeds.normals(k, n),
    "normals64": lambda k, n: seeds.normals(k, n, torch.float64),
    "normals16": lambda k, n: seeds.normals(k, n, torch.bfloat16),
    "integers": lambda k, n: seeds.integers(k, n, 1000),
    "permutations": lambda k, n: seeds.permutations(k, n),
}
every_draw = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())


def some_keys(count, seed=5):
    return seeds.keys(seed, "test", 0, torch.arange(count))


@pytest.mark.parametrize("counter, key, expected", VECTORS)
def test_philox_gives_the_published_vectors(counter, key, expected):
    counter = [torch.tensor([w, w]) for w in counter]
    assert [w.tolist() for w in seeds.philox(counter, key)] == [[e, e] for e in expected]


@pytest.mark.parametrize("counter, key, expected", VECTORS)
def test_the_operators_of_other_devices_give_them_too(counter, key, expected):
    words = [torch.tensor([w, w]) for w in (*counter, *key)]
    assert [w.tolist() for w in seeds._ten_rounds(*words)] == [[e, e] for e in expected]


def fingerprint():
    """A few numbers of each draw; they may never change, or old experiments would not replay."""
    key = seeds.keys(2**62 + 3, "pinned", 9, torch.tensor([0, 2**40]))
    return [
        key.tolist(),
        seeds.fold(key, torch.tensor([1, -1])).tolist(),
        seeds.bits(key, 2).tolist(),
        seeds.integers(key, 3, 100).tolist(),
        seeds.permutations(key, 5).tolist(),
        seeds.subset(key[0], 1000, 4).tolist(),
        seeds.binomial(key[0], 1000, 0.3),
        [round(v, 5) for v in seeds.normals(key[0], 3).tolist()],
    ]


EXPECTED = [
    [5520253863624310133, 5344537964576251661],
    [8917304961703832694, 6521499801322571577],
    [[73638823, 2430017391], [1817193158, 495310000]],
    [[1, 16, 87], [42, 36, 86]],
    [[0, 1, 4, 3, 2], [1, 0, 4, 3, 2]],
    [17, 168, 313, 871],
    270,
    [1.39008, 2.48993, -0.20381],
]


def test_values_are_pinned():
    assert fingerprint() == EXPECTED


def test_another_process_draws_the_same():
    code = (
        "import torch; from fedlab_widgets import seeds; k = seeds.keys(1, 'a', 2, torch.arange(3));"
        "print(seeds.fold(k, 4).tolist(), seeds.normals(k, 5, torch.float64).tolist())"
    )
    k = seeds.keys(1, "a", 2, torch.arange(3))
    here = f"{seeds.fold(k, 4).tolist()} {seeds.normals(k, 5, torch.float64).tolist()}"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here


@every_draw
def test_a_draw_does_not_depend_on_the_batch(draw):
    for n in range(1, 41):
        key = some_keys(7)
        batch = draw(key, n)
        assert batch.shape == (7, n)
        for c in range(7):
            assert torch.equal(draw(key[c], n), batch[c])
        assert torch.equal(draw(key[[5, 1, 5]], n), batch[[5, 1, 5]])
        assert torch.equal(draw(key[1:6:2], n), batch[1:6:2])
        assert torch.equal(draw(key[:6].reshape(2, 3), n), batch[:6].reshape(2, 3, n))


@every_draw
def test_a_draw_does_not_depend_on_the_chunking(draw, monkeypatch):
    key = some_keys(3)
    whole = draw(key, 501)
    for slab in (1, 7, 64, 1000):
        monkeypatch.setitem(seeds._SLAB, "cpu", slab)
        assert torch.equal(draw(key, 501), whole)


@every_draw
def test_a_draw_does_not_depend_on_the_threads(draw):
    threads, results = torch.get_num_threads(), []
    for count in (1, 2):
        torch.set_num_threads(count)
        results.append(draw(some_keys(2), 40_001))
    torch.set_num_threads(threads)
    assert torch.equal(*results)


@pytest.mark.parametrize("name", sorted(DRAWS.keys() - {"permutations"}))  # fewer numbers: another order
def test_a_shorter_draw_starts_a_longer_one(name):
    draw = DRAWS[name]
    for n in range(41):
        assert torch.equal(draw(some_keys(2), n), draw(some_keys(2), 41)[:, :n])


def test_the_functions_behind_normals_do_not_care_for_position():
    """log, cos, sin and sqrt run as vectors with a scalar or masked tail; both must give the same number."""
    x = seeds.uniforms(some_keys(1)[0], 80, torch.float64)
    for function in (torch.log, torch.cos, torch.sin, torch.sqrt):
        whole = function(x)
        for start in range(20):
            for n in range(1, 41):
                assert torch.equal(function(x[start : start + n]), whole[start : start + n])


@every_draw
def test_no_clients_and_no_numbers(draw):
    assert draw(some_keys(0), 3).shape == (0, 3)
    assert draw(some_keys(3), 0).shape == (3, 0)


def test_keys_differ_in_every_argument():
    one = torch.arange(2000)
    all_keys = [
        seeds.keys(s, p, r, one)
        for s in (0, 1, 2**32, 2**63 - 1)
        for p in ("a", "b")
        for r in (0, 1, 2**32 - 1)
    ]
    all_keys += [seeds.fold(all_keys[0], n) for n in (0, 1, -1, 2**32, 2**63 - 1)]
    all_keys = torch.cat(all_keys)
    assert len(all_keys.unique()) == len(all_keys)


def test_fold_broadcasts_and_matches_one_by_one():
    key, numbers = some_keys(3), torch.tensor([[4, 5], [6, 7], [8, 9]])
    sub = seeds.fold(key[:, None], numbers)
    assert sub.shape == (3, 2)
    assert all(sub[c, b] == seeds.fold(key[c], int(numbers[c, b])) for c in range(3) for b in range(2))


def test_uniforms_are_uniform():
    for dtype in (torch.float32, torch.float64):
        draw = seeds.uniforms(some_keys(20), 5000, dtype)
        assert draw.dtype == dtype and draw.min() >= 0 and draw.max() < 1
        assert stats.kstest(draw.flatten().numpy(), "uniform").pvalue > 0.01
        across_keys = seeds.uniforms(some_keys(50_000), 1, dtype)
        assert stats.kstest(across_keys.flatten().numpy(), "uniform").pvalue > 0.01


def test_normals_are_normal_and_uncorrelated():
    draw = seeds.normals(some_keys(20), 5000, torch.float64)
    assert stats.kstest(draw.flatten().numpy(), "norm").pvalue > 0.01
    assert (torch.corrcoef(draw) - torch.eye(20)).abs().max() < 5 / 5000**0.5
    neighbours = torch.corrcoef(torch.stack([draw[:, ::2].flatten(), draw[:, 1::2].flatten()]))[0, 1]
    assert neighbours.abs() < 4 / 50_000**0.5
    assert torch.equal(draw.float(), seeds.normals(some_keys(20), 5000))


def test_integers_are_uniform_and_take_one_high_per_key():
    draw = seeds.integers(some_keys(1)[0], 70_000, 7)
    assert stats.chisquare(torch.bincount(draw, minlength=7).numpy()).pvalue > 0.01
    highs = torch.tensor([1, 10, 2**31 - 1])
    draw = seeds.integers(some_keys(3), 1000, highs)
    assert (draw >= 0).all() and (draw < highs[:, None]).all() and draw[2].max() > 2**30
    assert torch.equal(draw[1], seeds.integers(some_keys(3)[1], 1000, 10))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(0, 10), st.integers(0, 2**63 - 1))
def test_ragged_permutations_are_valid_and_independent(sizes, extra, seed):
    key, n = some_keys(len(sizes), seed), max(sizes) + extra
    ragged = seeds.permutations(key, n, torch.tensor(sizes))
    for c, size in enumerate(sizes):
        assert sorted(ragged[c, :size].tolist()) == list(range(size))
        assert ragged[c, size:].tolist() == list(range(size, n))
        assert torch.equal(ragged[c, :size], seeds.permutations(key[c], size))


def test_permutations_are_uniform():
    draw = seeds.permutations(some_keys(24_000), 4)
    code = (draw * torch.tensor([64, 16, 4, 1])).sum(1)
    counts = code.unique(return_counts=True)[1]
    assert len(counts) == 24 and stats.chisquare(counts.numpy()).pvalue > 0.01


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 200), st.data())
def test_subsets_are_valid(population, data):
    m = data.draw(st.integers(0, population))
    chosen = seeds.subset(some_keys(1)[0], population, m).tolist()
    assert len(chosen) == m == len(set(chosen)) and chosen == sorted(chosen)
    assert all(0 <= c < population for c in chosen)


def test_subsets_are_uniform_and_reach_a_billion():
    counts = torch.zeros(3, 5)
    for key in some_keys(2000):
        for row, m in enumerate((1, 2, 4)):
            counts[row, seeds.subset(key, 5, m)] += 1
    for row, m in enumerate((1, 2, 4)):
        assert counts[row].sum() == 2000 * m and (counts[row] - 400 * m).abs().max() < 4 * 400**0.5
    chosen = seeds.subset(some_keys(1)[0], 10**9, 5000)
    assert len(chosen.unique()) == 5000
    assert stats.kstest(chosen.numpy() / 1e9, "uniform").pvalue > 0.01


def test_binomial():
    draws = [seeds.binomial(key, 50, 0.2) for key in some_keys(2000)]
    assert abs(sum(draws) / 2000 - 10) < 4 * (50 * 0.2 * 0.8 / 2000) ** 0.5
    key = some_keys(1)[0]
    assert seeds.binomial(key, 9, 0.0) == seeds.binomial(key, 0, 0.5) == 0
    assert seeds.binomial(key, 9, 1.0) == 9
    assert abs(seeds.binomial(key, 10**9, 0.01) - 10**7) < 6 * 10**3.5


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda k: seeds.keys(-1, "a", 0, 0), "seed"),
        (lambda k: seeds.keys(2**63, "a", 0, 0), "seed"),
        (lambda k: seeds.keys(0, "a", -1, 0), "round"),
        (lambda k: seeds.uniforms(k, 3, torch.float16), "float32 or float64"),
        (lambda k: seeds.bits(k, -1), "cannot draw -1"),
        (lambda k: seeds.integers(k, 3, 0), "high"),
        (lambda k: seeds.integers(k, 3, 2**31), "high"),
        (lambda k: seeds.permutations(k, 3, torch.tensor([4])), "sizes"),
        (lambda k: seeds.subset(k[0], 3, 4), "m <= population"),
        (lambda k: seeds.binomial(k[0], 3, 1.5), "p <= 1"),
    ],
)
def test_numbers_out_of_range_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(some_keys(1))


def test_fractions_are_refused_as_clients():
    with pytest.raises(TypeError, match="whole numbers"):
        seeds.keys(0, "a", 0, torch.tensor([0.5]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_draws_the_same_integers():
    for name, draw in DRAWS.items():
        here, there = draw(some_keys(5), 1001), draw(some_keys(5).cuda(), 1001).cpu()
        if name.startswith("normals"):
            torch.testing.assert_close(there, here)
        else:
            assert torch.equal(there, here), name
    clients = torch.arange(5)
    gpu_keys = seeds.keys(5, "test", 0, clients.cuda())
    assert torch.equal(gpu_keys.cpu(), some_keys(5))
    assert torch.equal(seeds.fold(gpu_keys, clients).cpu(), seeds.fold(some_keys(5), clients))
    assert torch.equal(seeds.subset(gpu_keys[0], 10**6, 999).cpu(), seeds.subset(some_keys(5)[0], 10**6, 999))
    assert seeds.binomial(gpu_keys[0], 10**6, 0.1) == seeds.binomial(some_keys(5)[0], 10**6, 0.1)
