"""Counter-based randomness: every draw is a pure function of (seed, purpose, round, client).

A *key* is one int64 number holding 64 random bits. ``keys`` makes one per client, ``fold`` makes new keys
from old ones, and everything else turns keys into numbers. There is no state to carry, save or share: the
draw of a client is the same bits alone or in a batch, in any order and in any chunking. The integers are the
same on CPU and CUDA; ``normals`` may differ between the two in the last bit, as their log, cos and sin do.
A shorter draw is the start of a longer one from the same key (``permutations`` excepted), so use a key for
one draw only and ``fold`` it for the next.

The generator is Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
SC 2011.

>>> clients = torch.arange(3)
>>> noise = normals(keys(7, "noise", 0, clients), 5)
>>> noise.shape
torch.Size([3, 5])
>>> torch.equal(noise[2], normals(keys(7, "noise", 0, 2), 5))
True
"""

from __future__ import annotations

import math
import sys
from functools import cache
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_SCHEDULE = np.array([[r * w & _MASK for w in _WEYL] for r in range(10)], np.uint32)   # what a round adds to the key
_HIGH = int(sys.byteorder == "little")   # which half of a 64-bit number in memory is the high one
_DRAW, _FOLD = 0, 1  # the third counter word keeps draws and sub-keys of one key apart
_SLAB = {"cpu": 1 << 14, "cuda": 1 << 22}  # blocks at a time: 128 KB (in the cache) and 32 MB a temporary


def philox(counter: tuple, key: tuple) -> list[Tensor]:
    """Philox4x32-10: four counter and two key words to four random words, elementwise with broadcasting.

    All words are int64 tensors (at least one of them a tensor, the rest may be ints) with values 0..2**32-1.

    >>> [hex(int(w)) for w in philox((torch.tensor(0), 0, 0, 0), (0, 0))]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    device = next(w.device for w in (*counter, *key) if isinstance(w, Tensor))
    if device.type == "cpu":
        return [*map(_tensor, _words(*(_plain(w) if isinstance(w, Tensor) else w for w in (*counter, *key))))]
    words = [torch.as_tensor(w, dtype=torch.int64, device=device) for w in (*counter, *key)]
    shape = torch.broadcast_shapes(*(w.shape for w in words))
    return _ten_rounds(*(w.expand(shape) for w in words[:4]), *words[4:])


def _words(c0, c1, c2, c3, k0, k1) -> list:
    """Philox on numbers, NumPy arrays or tensors: what costs is the call, so that one block is done without arrays."""
    words = (c0, c1, c2, c3, k0, k1)
    if any(isinstance(w, Tensor) for w in words):
        return philox(words[:4], words[4:])
    if any(np.ndim(w) for w in words):
        return _ten_rounds_in_numpy(*words)
    return _ten_rounds(*map(int, words))


def _ten_rounds(c0, c1, c2, c3, k0, k1) -> list:
    for r in range(10):
        # int64 products wrap modulo 2**64, so their bits are those of the unsigned product. The low words
        # c1 and c3 keep junk above bit 31: they only ever enter an xor, which is masked.
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0 = ((p1 >> 32) ^ c1 ^ (k0 + r * _WEYL[0])) & _MASK
        c2 = ((p0 >> 32) ^ c3 ^ (k1 + r * _WEYL[1])) & _MASK
        c1, c3 = p1, p0
    return [c0, c1 & _MASK, c2, c3 & _MASK]


def _ten_rounds_in_numpy(c0, c1, c2, c3, k0, k1) -> np.ndarray:
    """The same, both halves of a block side by side and in place: draws are small, and what costs are the calls. The
    high and low words of a product are views on it, so that nothing is shifted or masked."""
    shape = np.broadcast_shapes(*(np.shape(w) for w in (c0, c1, c2, c3, k0, k1)))
    high, low = np.empty((2, 2, *shape), np.uint32)
    high[0], high[1], low[0], low[1] = c0, c2, c1, c3
    key = np.empty((2, *np.broadcast_shapes(np.shape(k0), np.shape(k1))), np.uint32)
    key[0], key[1] = k0, k1
    key = key.reshape(2, *[1] * (len(shape) - key.ndim + 1), *key.shape[1:])   # lined up with `high` for broadcasting
    column = (2, *[1] * len(shape))
    times = np.array(_MULTIPLIERS, np.uint64).reshape(column)
    products = np.empty((2, *high.shape), np.uint64)
    crossed = products.view(np.uint32).reshape(2, *high.shape, 2)[:, ::-1]   # round r's are overwritten in round r + 2
    places = [(products[i], crossed[i, ..., _HIGH], crossed[i, ..., 1 - _HIGH]) for i in range(2)]
    for r, plus in enumerate(key + _SCHEDULE.reshape(10, *column)):
        product, above, below = places[r % 2]
        np.multiply(high, times, out=product)
        np.bitwise_xor(above, low, out=high)
        high ^= plus
        low = below
    words = np.empty((4, *shape), np.int64)
    words[0], words[1], words[2], words[3] = high[0], low[0], high[1], low[1]
    return words


def keys(seed: int, purpose: str, round: int, clients: Tensor | int, device=None) -> Tensor:
    """One key per client: int64 of the shape of ``clients`` ([C], or [] for one int), on its device.

    seed: 0..2**63-1. purpose: a text naming what the numbers are for. round: 0..2**32-1. clients: any int64.
    device: where the keys go, if not where the clients are. Raises ValueError for a seed or round out of
    range, TypeError for fractional clients.

    >>> keys(1, "batches", 0, torch.tensor([4, 5])).tolist()
    [-3817985373878024150, 5487920041636222463]
    """
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must lie in 0..2**63-1, not {seed}")
    if not 0 <= round < 2**32:
        raise ValueError(f"round must lie in 0..2**32-1, not {round}")
    low, high = _halves(clients, device)
    return _join(_words(low, high, round, _purpose_id(purpose), seed & _MASK, seed >> 32))


def fold(keys: Tensor, n: Tensor | int) -> Tensor:
    """A new independent key per number (an epoch, a row): keys and n broadcast, ``fold(keys[:, None], n)``.

    n: int64, any value. Returns int64 keys of the broadcast shape. Raises TypeError where n is not whole.

    >>> fold(keys(1, "batches", 0, torch.arange(3))[:, None], torch.arange(2)).shape
    torch.Size([3, 2])
    """
    low, high = _halves(n, keys.device)
    return _join(_words(low, high, _FOLD, 0, *_halves(keys)))


def bits(keys: Tensor, n: int) -> Tensor:
    """Uniform 32-bit integers 0..2**32-1 as int64: keys [..] to [.., n]."""
    return _draw(keys, n, 4, torch.int64, lambda words: words)


def uniforms(keys: Tensor, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Uniform numbers in [0, 1): keys [..] to [.., n]. float32 has steps of 2**-24, float64 of 2**-53.

    Raises ValueError for another dtype (a coarser one would round up to 1).
    """
    if dtype == torch.float32:
        return _draw(keys, n, 4, dtype, lambda words: [(w >> 8).to(dtype).mul_(2.0**-24) for w in words])
    if dtype == torch.float64:
        return _draw(keys, n, 2, dtype, lambda words: [_unit(*words[:2]), _unit(*words[2:])])
    raise ValueError(f"uniforms come as float32 or float64, not {dtype}")


def normals(keys: Tensor, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normal numbers (mean 0, variance 1): keys [..] to [.., n]. Box-Muller in float64, then cast."""
    return _draw(keys, n, 2, dtype, _box_muller)


def integers(keys: Tensor, n: int, high: Tensor | int) -> Tensor:
    """Uniform int64 numbers 0..high-1: keys [..] to [.., n]. high: 1..2**31-1, one int or one per key [..].

    The bias is below high / 2**64. Raises ValueError for a high out of range.
    """
    high = torch.as_tensor(high, dtype=torch.int64, device=keys.device)
    if high.numel() and not (int(high.min()) >= 1 and int(high.max()) < 2**31):
        raise ValueError("high must lie in 1..2**31-1")
    word = bits(keys, 2 * n).unflatten(-1, (n, 2))
    high = high[..., None]
    return (word[..., 0] * high + (word[..., 1] * high >> 32)) >> 32  # the top of the 96-bit product


def permutations(keys: Tensor, n: int, sizes: Tensor | None = None) -> Tensor:
    """A random order of 0..n-1 per key: keys [..] to int64 [.., n].

    sizes [..] (0..n) makes rows ragged: the first sizes[c] entries of row c are an order of 0..sizes[c]-1,
    which depends on the key and the size alone, and the rest are their own index. Raises ValueError for a
    size out of range.

    >>> permutations(keys(1, "batches", 0, torch.arange(2)), 4, torch.tensor([2, 3]))[:, 3]
    tensor([3, 3])
    """
    tickets = _draw(keys, n, 2, torch.int64, lambda w: [w[0] << 30 | w[1] >> 2, w[2] << 30 | w[3] >> 2])
    if sizes is not None and sizes.numel():
        if not (int(sizes.min()) >= 0 and int(sizes.max()) <= n):
            raise ValueError(f"sizes must lie in 0..n, here 0..{n}")
        if int(sizes.min()) < n:
            beyond = torch.arange(n, device=keys.device) >= sizes[..., None]
            tickets.masked_fill_(beyond, 2**63 - 1)  # after every ticket, and the stable sort keeps them in place
    if keys.device.type == "cpu":  # NumPy sorts short rows in half the time
        return torch.from_numpy(tickets.numpy().argsort(axis=-1, kind="stable"))
    return tickets.sort(dim=-1, stable=True).indices


def subset(key: Tensor, population: int, m: int) -> Tensor:
    """A uniform m-subset of 0..population-1, sorted int64 [m], in O(m) time and memory. key: one key [].

    population: 0..2**31-1. Raises ValueError unless 0 <= m <= population.

    >>> subset(keys(1, "cohort", 0, 0), 10**9, 3).shape
    torch.Size([3])
    """
    if not 0 <= m <= population < 2**31:
        raise ValueError(f"need 0 <= m <= population < 2**31, not m={m}, population={population}")
    if 2 * m > population:  # draw the ones left out: they are fewer, and O(population) is O(m) here
        chosen = torch.ones(population, dtype=torch.bool, device=key.device)
        chosen[subset(key, population, population - m)] = False
        return chosen.nonzero()[:, 0]
    # The first m distinct values of an endless uniform sequence are a uniform m-subset; 1.4 m values do.
    draws = m + m // 2 + 8
    while m:
        values, where = integers(key.reshape(()), draws, population).sort(stable=True)
        first = torch.ones_like(values, dtype=torch.bool)
        first[1:] = values[1:] != values[:-1]
        values, where = values[first], where[first]
        if len(values) >= m:
            return values[where.argsort()[:m]].sort().values
        draws *= 2
    return torch.zeros(0, dtype=torch.int64, device=key.device)


def binomial(key: Tensor, n: int, p: float) -> int:
    """How many of n independent trials of chance p succeed: one draw per key [], by the inverse cdf (SciPy).

    Raises ValueError for a negative n or a p outside 0..1.
    """
    if n < 0 or not 0 <= p <= 1:
        raise ValueError(f"need n >= 0 and 0 <= p <= 1, not n={n}, p={p}")
    if n == 0 or p in (0, 1):
        return n if p == 1 else 0
    from scipy.stats import binom  # slow to import, and few runs need it

    u = float(uniforms(key.reshape(()), 1, torch.float64))
    return max(0, int(binom.ppf(u, n, p)))  # ppf(0) is -1


@cache
def _purpose_id(purpose: str) -> int:
    return int.from_bytes(blake2b(purpose.encode(), digest_size=4).digest(), "little")


def _halves(number: Tensor | int, device=None) -> tuple:
    """The low and the high 32 bits: NumPy arrays of numbers on the CPU."""
    number = torch.as_tensor(number, device=device)
    if number.is_floating_point() or number.dtype == torch.bool:
        raise TypeError(f"whole numbers (int64) are needed, not {number.dtype}")
    number = _plain(number.to(torch.int64))
    return number & _MASK, (number >> 32) & _MASK


def _join(words: list) -> Tensor:
    """Two words to a number of 64 bits."""
    if isinstance(words[0], int):
        return torch.tensor((words[0] | words[1] << 32) - ((words[1] & 2**31) << 33))   # as a signed number
    return _tensor(words[0] | words[1] << 32)


def _plain(number: Tensor):
    return number.numpy() if number.device.type == "cpu" else number


def _tensor(words) -> Tensor:
    return torch.from_numpy(words) if isinstance(words, np.ndarray) else torch.as_tensor(words)


def _unit(high: Tensor, low: Tensor, shift: float = 0.0) -> Tensor:
    """Two words to a float64 in [0, 1) of 53 bits, moved up by ``shift`` steps of 2**-53."""
    return (high << 21 | low >> 11).to(torch.float64).add_(shift).mul_(2.0**-53)


def _box_muller(words: list[Tensor]) -> list[Tensor]:
    radius = _unit(*words[:2], shift=0.5).log_().mul_(-2).sqrt_()  # the half step keeps 0 away from the log
    angle = _unit(*words[2:]).mul_(2 * math.pi)
    return [angle.cos().mul_(radius), angle.sin_().mul_(radius)]


def _draw(keys: Tensor, n: int, per_block: int, dtype: torch.dtype, transform) -> Tensor:
    """Fill [.., n] with ``transform`` of Philox blocks, ``per_block`` numbers each, a slab at a time."""
    if n < 0:
        raise ValueError(f"cannot draw {n} numbers")
    flat = keys.reshape(-1, 1)
    out = torch.empty(len(flat), n, dtype=dtype, device=keys.device)
    blocks, slab = -(-n // per_block), _SLAB.get(keys.device.type, 1 << 14)
    columns = max(1, min(blocks, slab))
    rows = max(1, slab // columns)
    for left in range(0, blocks, columns):
        block = torch.arange(left, min(left + columns, blocks), device=keys.device)
        for top in range(0, len(flat), rows):
            words = _words(*_halves(block), _DRAW, 0, *_halves(flat[top : top + rows]))
            values = torch.stack(transform([*map(_tensor, words)]), dim=-1).flatten(1)
            part = out[top : top + rows, left * per_block : (left + columns) * per_block]
            part.copy_(values[:, : part.shape[1]])
    return out.reshape(*keys.shape, n)
