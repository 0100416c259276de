"""The unique disparity as a picture: two ROC curves, and the hull over both.

Guess somebody's group from one thing, the prediction or the client. Count its values from the one with the largest
share of the group down: the shares of the group, and of everybody else, counted so far are the points of a ROC curve.
Nothing that knows the client only gets above the clients' curve. Where the curve of the prediction does, it lifts the
hull over both, and what the hull tells beyond the client is the unique disparity: I(Z; hull) - I(Z; S).

Ours, derived in `pid_cone.atoms_binary`, which gets the same number without the hull (on its dual, in batches). Two
groups; of more, each against the rest, beside the exact solve.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .pid import Disparity, _checked, decompose

__all__ = ["Hull", "Vertex", "hull", "one_against_rest"]

DIGITS = 14   # to which sums of probabilities are trusted; whole numbers are compared exactly


@dataclass(frozen=True)
class Vertex:
    """A point of a curve: the shares (0 to 1) of group 0 (`x`) and of group 1 (`y`) counted so far.

    `source` is "client" or "prediction", `index` which of them was counted last; None at (0, 0).
    """

    x: float
    y: float
    source: str
    index: int | None


@dataclass(frozen=True)
class Hull:
    """Two ROC curves and their upper concave hull, each a tuple of `Vertex` from (0, 0) to (1, 1).

    clients, predictions: one vertex for each value that holds somebody, largest share of group 1 first.
    hull: the vertices that it turns at; one that both curves have is the client's.
    unique: bits, I(Z; hull) - I(Z; S). area: of the region between the hull and the clients' curve, 0 to 1/2.
    told: `decompose` of the same table, all parts.
    """

    clients: tuple[Vertex, ...]
    predictions: tuple[Vertex, ...]
    hull: tuple[Vertex, ...]
    unique: float
    area: float
    told: Disparity

    @property
    def added(self) -> tuple[Vertex, ...]:
        """The hull's vertices that the prediction contributes; none where unique is 0."""
        return tuple(v for v in self.hull if v.source == "prediction")


def hull(counts) -> Hull:
    """The `Hull` of a table counts [2, Yhat, S], as in `decompose`: whole numbers, or probabilities.

    Clients half and half, and the prediction is right for everybody of group 1 at client 1 only (yhat = z and s): its
    curve rises straight to (0, 1/2), the clients' is the diagonal.

    >>> told = hull([[[25, 25], [0, 0]], [[25, 0], [0, 25]]])
    >>> [(v.x, v.y) for v in told.added], round(told.unique, 6), told.area
    ([(0.0, 0.5)], 0.311278, 0.25)

    Raises ValueError for a bad table, one of other than two groups, and a group that nobody is in.
    Source: ours, see `pid_cone.atoms_binary`.
    """
    counts = _checked(counts)
    if len(counts) != 2:
        raise ValueError(f"counts has {len(counts)} groups; a ROC curve tells two apart; use one_against_rest")
    empty = np.flatnonzero(counts.sum((1, 2)) == 0)
    if len(empty):
        raise ValueError(f"counts has nobody in group {empty[0]}; there is nothing to tell apart; take two groups "
                         "that somebody is in")
    slack = 10.0**-DIGITS if counts.dtype.kind == "f" else 0
    clients, predictions = _curve(counts.sum(1), "client"), _curve(counts.sum(2), "prediction")
    joint = _upper(clients, predictions, slack)
    x, y = clients[-1].x, clients[-1].y
    told = max(_bits(joint) - _bits(clients), 0.0) if any(v.source == "prediction" for v in joint) else 0.0
    area = max((_under(joint) - _under(clients)) / (x * y), 0.0)
    return Hull(*(tuple(Vertex(v.x / x, v.y / y, v.source, v.index) for v in c) for c in (clients, predictions, joint)),
                told, area, decompose(counts))


def one_against_rest(counts) -> dict[int, Hull]:
    """{group: `Hull`} of each group (as group 1) against all others together (as group 0), for counts [Z, Yhat, S].

    Groups that nobody is in are left out; where two remain there is one hull, of the later against the earlier. Each
    hull has a decomposition of its own, which answers another question: whether somebody is of *this* group. No part
    of them adds up to the part of all groups, which `decompose(counts)` solves, to within its `gap`; by the data
    processing inequality none has more global or local disparity than all groups together.

    Four groups, of which the prediction tells one half and the client the other. Each alone is told by the client as
    well as by the prediction, all together are not:

    >>> copy = np.zeros((4, 2, 2), int)
    >>> copy[range(4), [0, 0, 1, 1], [0, 1, 0, 1]] = 10
    >>> [h.unique for h in one_against_rest(copy).values()], decompose(copy).unique
    ([0.0, 0.0, 0.0, 0.0], 1.0)

    Raises ValueError for a bad table, and one with fewer than two groups that somebody is in.
    """
    counts = _checked(counts)
    some = np.flatnonzero(counts.sum((1, 2)) > 0)
    if len(some) < 2:
        raise ValueError(f"counts has somebody in {len(some)} group; there is nothing to tell apart; take at least two")
    shown = some[1:] if len(some) == 2 else some
    return {int(z): hull(np.stack([np.delete(counts, z, 0).sum(0), counts[z]])) for z in shown}


def _curve(table, source) -> list[Vertex]:
    """The ROC curve of a table [2, n], in the table's own units: columns with somebody, steepest first."""
    columns = [(*column, i) for i, column in enumerate(table.T.tolist()) if sum(column)]
    columns.sort(key=lambda c: -Fraction(c[1]) / (Fraction(c[0]) + Fraction(c[1])))   # exact, ties in their order
    points = [Vertex(0, 0, source, None)]
    for x, y, i in columns:
        points.append(Vertex(points[-1].x + x, points[-1].y + y, source, i))
    return points


def _upper(clients, predictions, slack) -> list[Vertex]:
    """The upper concave hull of both curves (Andrew's chain), without points in the middle of an edge."""
    chain = []
    middle = sorted([*clients[:-1], *predictions[1:-1]],   # of two at one place the client's comes first, and stays
                    key=lambda v: (round(v.x, DIGITS), round(v.y, DIGITS), v.source))
    for point in [*middle, clients[-1]]:
        if chain and max(abs(point.x - chain[-1].x), abs(point.y - chain[-1].y)) <= slack:
            continue
        while len(chain) > 1 and _turn(chain[-2], chain[-1], point) >= -slack * (
                point.x - chain[-2].x + point.y - chain[-2].y):
            chain.pop()
        chain.append(point)
    return chain


def _turn(a, b, c):
    """Above 0 where the way from a over b to c bends up."""
    return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)


def _bits(curve) -> float:
    """I(Z; M) of the channel M whose curve this is: each edge is a value of M, and holds so many of both groups."""
    edges = np.diff([(v.x, v.y) for v in curve], axis=0).astype(float).T   # [2, n]
    p = edges / edges.sum()
    fair = p.sum(0) * p.sum(1, keepdims=True)
    return float((p * np.log2(np.divide(p, fair, out=np.ones_like(p), where=p > 0))).sum())


def _under(curve) -> float:
    return sum((b.x - a.x) * (a.y + b.y) / 2 for a, b in zip(curve, curve[1:], strict=False))
