"""Whether clients train cheaper in chunks of half the size: tried on the first round that has enough of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

ENOUGH = 4   # chunks in a cohort that make a comparison worth its while


class Trial:
    """A chunk size in question. The work of the round is cut into whole and half chunks in turn and timed by the clock
    of the thread that does it: nothing is done twice, and for chunks of two or more the bits are the same."""

    def __init__(self, chunk: int):
        self.chunk, self.half = chunk, chunk // 2
        self._costs: dict[int, float] = {}   # chunk -> the fewest seconds a client

    def pieces(self, count: int) -> list[slice]:
        """How to cut a cohort of so many clients: whole, half, half, whole, half, half …"""
        found, at = [], 0
        while at < count:
            size = self.chunk if len(found) % 3 == 0 else self.half
            if count - at - size <= 1:   # no client is left alone
                size = count - at
            found.append(slice(at, at + size))
            at += size
        return found

    def timed(self, work: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def run(piece):
            start = time.thread_time()
            done = work(piece)
            cost = (time.thread_time() - start) / len(piece)
            self._costs[len(piece)] = min(cost, self._costs.get(len(piece), cost))
            return done

        return run

    def size(self, count: int) -> int | None:
        """The chunk to use for a cohort of so many, or None when this round is to be the trial."""
        costs = [self._costs.get(n) for n in (self.half, self.chunk)]
        if None not in costs:
            return self.half if costs[0] < costs[1] else self.chunk
        return None if self.half >= 2 and count >= ENOUGH * self.chunk else self.chunk
