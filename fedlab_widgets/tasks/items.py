from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from .. import seeds
from ..part import BadInput, part
from ..shards import Data
from ..slots import Classification

TEST_SHARE = 0.2


@part
class Items(Classification):
    """Users of several parties, each with one item: which are the most frequent? Drawn, not collected.

    load: x [users, bits] of 0 and 1, an item a user; y 1 where it is among the k that most users of all parties have
    ("heavy hitter"; of equally frequent ones the smaller), else 0; the client of a row is its party. Of a user's
    choice: `common` items, the same in all parties, by Zipf 0.5 in an order of the party's own; `local` items of the
    party's own, by Zipf 1; else one of `rare`, alike. Which strings of bits these are is drawn. What is heavy is
    counted over all rows that parties have; a fifth as many are drawn beside them to test on. The engine holds out a
    fifth of a party's rows: 50 000 users are 40 000 that report. Raises BadInput for more items than there are strings
    of bits, or more heavy ones than items.
    Source: made up here, in the manner of the settings in Zhang, Ye, Hu, SIGMOD 2025 (arXiv 2412.14832): parties of
    different sizes and tastes.
    """

    apart = True

    users: tuple[Annotated[int, Field(ge=5, le=5_000_000)], ...] = Field(
        (50_000, 37_500, 25_000, 12_500), min_length=1, max_length=64, description="users of each party")
    bits: int = Field(16, ge=4, le=30, description="length of an item, as a string of bits")
    k: int = Field(10, ge=1, le=1000, description="how many items are heavy hitters")
    common: int = Field(10, ge=1, le=1000, description="items that are frequent in every party")
    common_share: float = Field(0.35, ge=0, le=1, description="share of users that have one of these")
    local: int = Field(60, ge=1, le=1000, description="items of each party's own")
    local_share: float = Field(0.4, ge=0, le=1, description="share of users that have one of their party's")
    rare: int = Field(4000, ge=1, le=1_000_000, description="items that all others have one of")
    seed: int = Field(0, ge=0, le=2**53 - 1, description="of the items; the run's own seed leaves them as they are")

    def load(self):
        parties = len(self.users)
        count = self.common + parties * self.local + self.rare
        if count > 2**self.bits:
            raise BadInput(f"task.bits = {self.bits} makes {2**self.bits:,} items, and {count:,} are asked for; set "
                           "task.bits higher, or task.rare lower")
        if self.k > count or self.common_share + self.local_share > 1:
            raise BadInput(f"task.k = {self.k} must not exceed the {count:,} items, nor the two shares 1 together: "
                           f"they are {self.common_share:g} and {self.local_share:g}; set them lower")
        key = seeds.keys(self.seed, "items", 0, 0)
        item = seeds.subset(seeds.fold(key, 0), 2**self.bits, count)
        item = item[seeds.permutations(seeds.fold(key, 1), count)]
        party = torch.arange(parties).repeat_interleave(torch.tensor(self.users))
        tests = torch.arange(parties).repeat_interleave((torch.tensor(self.users) * TEST_SHARE).long())
        own = item[self._chosen(party, seeds.fold(key, 2))]
        other = item[self._chosen(tests, seeds.fold(key, 3))]
        found, times = own.unique(return_counts=True)
        heavy = found[times.argsort(descending=True, stable=True)[:self.k]]
        mixed = seeds.permutations(seeds.fold(key, 4), len(party))   # so that the first rows are of all parties
        own, party = own[mixed], party[mixed]
        x, test = (_bits(i, self.bits) for i in (own, other))
        y, test_y = (torch.isin(i, heavy).long() for i in (own, other))
        return Data(x, y, 0 * y, test, test_y, 0 * test_y, labels=("other", "heavy hitter"), groups=("all",),
                    features=tuple(f"bit {i + 1}" for i in range(self.bits)), client=party,
                    client_names=tuple(f"party {i + 1}" for i in range(parties)))

    def _chosen(self, party: Tensor, key: Tensor) -> Tensor:
        """The item [users], by number, that each user of a party [users] has: common ones come first, then those of
        each party in turn, then the rare."""
        n, parties = len(party), len(self.users)
        kind, where = (seeds.uniforms(seeds.fold(key, i), n, torch.float64) for i in range(2))
        orders = seeds.permutations(seeds.fold(seeds.keys(self.seed, "taste", 0, 0), torch.arange(parties)),
                                    self.common)
        common = orders[party, torch.searchsorted(_zipf(self.common, 0.5), where).clamp(max=self.common - 1)]
        local = torch.searchsorted(_zipf(self.local, 1.0), where).clamp(max=self.local - 1)
        rare = (where * self.rare).long() + self.common + parties * self.local
        return torch.where(kind < self.common_share, common, torch.where(
            kind < self.common_share + self.local_share, self.common + party * self.local + local, rare))


def _zipf(n: int, power: float) -> Tensor:
    """The distribution function [n] of ranks whose chances fall as 1 / rank^power."""
    chances = torch.arange(1, n + 1, dtype=torch.float64)**-power
    return chances.cumsum(0) / chances.sum()


def _bits(item: Tensor, count: int) -> Tensor:
    return (item[:, None] >> torch.arange(count - 1, -1, -1) & 1).float()
