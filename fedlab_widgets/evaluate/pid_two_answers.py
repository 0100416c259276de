"""The unique disparity of many groups where predictions are one of two answers: a dual with one price for each group.

The cone of `pid_cone.py` has a variable for each cell, and takes seconds for ten groups at 500 clients. With two
answers the pairs (Z, Yhat) are one number for each group, a(z) = P(z, yhat = 1), so that there are no more prices mu(z)
than groups; and at given prices every client is a problem of its own, in one number r(s) = R(yhat = 1 | s):

    unique = max over mu of  sum_z mu a - sum_s max over r of sum_z P(z, s) log(1 - r + r exp(mu))        (nats)

This is the bound of `pid_cone._certificate` at its best guess R. A barrier t P(s) log(r (1 - r)) makes it smooth, and
Newton's method takes a whole batch of tables through falling t. There q(yhat = 1 | z, s) = r exp(mu) / (1 - r +
r exp(mu)) has the pairs of the table, so that bounds from both sides are at hand.

Ours; the price split is the rate-distortion bound of Blahut and Arimoto. B tables, Z groups, S clients throughout.
"""

import numpy as np

BARRIERS = 10.0 ** -np.linspace(2, 8, 5)   # t; the last costs 2e-8 nats
MISSED = 1e-9                              # of a probability a(z), at which Newton's method has arrived
STEPS, HALVES, SEARCH = 30, 12, 60
FAR = 60                                   # largest price: exp of it is beyond any odds that counts can show


def unique_two(zy, zs):
    """(unique [B], gap [B]) in bits: min I_Q(Z; Yhat | S) over Q with the pairs zy [B, Z, 2] and zs [B, Z, S].

    As in `pid_cone._cone` unique belongs to a Q that we hold: it is never too small, and too large by `gap` at most.
    Groups, answers and clients that nobody belongs to change nothing.

    >>> unique, gap = unique_two(np.full((1, 3, 2), 1 / 6), np.full((1, 3, 4), 1 / 12))  # predictions tell nothing
    >>> bool(unique[0] < 1e-7), bool(gap[0] < 1e-7)
    (True, True)
    """
    dual = _Dual(zy, zs)
    mu, r = np.zeros(zy.shape[:2]), np.full(zs[:, 0].shape, 0.5)
    for t in BARRIERS:
        mu, r = dual.climb(mu, r, t)
    upper, lower = dual.held(mu, r), dual.surely(mu, r)
    return upper / np.log(2), np.maximum(upper - lower, 0) / np.log(2)


class _Dual:
    """The dual of a batch of tables. A group that has one answer only has no price: its odds are 0 or infinite."""

    def __init__(self, zy, zs):
        self.a, self.zs, self.client = zy[:, :, 1], zs, zs.sum(1)
        self.free = (zy > 0).all(2)
        self.no, self.yes = (zy[:, :, 0] > 0) | ~(zy > 0).any(2), zy[:, :, 1] > 0
        self.both = self.free[:, :, None] & self.free[:, None, :]
        self.alone = np.eye(zy.shape[1]) * ~self.free[:, :, None]   # keeps the prices of the others where they are

    def weights(self, mu):
        """The factors [B, Z, 1] of 1 - r and of r."""
        odds = np.where(self.free, np.exp(np.clip(mu, -FAR, FAR)), self.yes)
        return self.no[:, :, None] * 1.0, odds[:, :, None]

    def inner(self, mu, r, t):
        """The r [B, S] that is best at prices mu, by Newton's method between two ends, and what its steps divide by."""
        zero, one = self.weights(mu)
        low, high, held = np.zeros_like(r), np.ones_like(r), self.client > 0
        for _ in range(SEARCH):
            ratio = (one - zero) / (zero + (one - zero) * r[:, None])
            up = (self.zs * ratio).sum(1) + t * self.client * (1 / r - 1 / (1 - r))
            bent = (self.zs * ratio**2).sum(1) + t * self.client * (1 / r**2 + 1 / (1 - r) ** 2) + ~held
            low, high = np.where(up > 0, r, low), np.where(up > 0, high, r)
            new = r + up / bent
            new = np.where((new > low) & (new < high), new, (low + high) / 2)
            near = np.abs(new - r) <= 1e-12 * np.minimum(r, 1 - r)
            if (near | ~held).all():
                break
            r = np.where(near | ~held, r, new)
        return r, bent

    def at(self, mu, r, t):
        """(the smoothed dual [B] at prices mu, the r it is met at, what `inner` divides by)."""
        r, bent = self.inner(mu, r, t)
        barrier = t * (self.client * np.log(r * (1 - r))).sum(1)
        return self.value(mu, r) - barrier, r, bent

    def value(self, mu, r):
        zero, one = self.weights(mu)
        there = zero + (one - zero) * r[:, None]
        spent = (self.zs * np.log(np.where(self.zs > 0, there, 1))).sum((1, 2))
        return (self.a * np.where(self.free, mu, 0)).sum(1) - spent

    def climb(self, mu, r, t):
        """Prices and r where the smoothed dual is greatest, from those of a larger t."""
        value, r, bent = self.at(mu, r, t)
        for _ in range(STEPS):
            zero, one = self.weights(mu)
            there = zero + (one - zero) * r[:, None]
            told, slope = one * r[:, None] / there, one * zero / there**2     # P(yhat = 1 | z, s), and its slope by r
            missing = np.where(self.free, self.a - (self.zs * told).sum(2), 0)
            open_ = np.abs(missing).max(1) > MISSED
            if not open_.any():
                break
            cross = self.zs * slope
            steep = np.einsum("bzs,bys->bzy", cross / bent[:, None], cross)
            steep += np.eye(mu.shape[1]) * (self.zs * told * (1 - told)).sum(2)[:, :, None]
            step = np.linalg.solve(np.where(self.both, steep, 0) + self.alone, missing[:, :, None])[:, :, 0]
            step = np.where(open_[:, None], np.clip(step, -5, 5), 0)
            gain = (step * missing).sum(1)
            for _ in range(HALVES):
                new, next_r, next_bent = self.at(mu + step, r, t)
                good = new >= value + 0.1 * gain - 1e-14     # rounding
                if good.all():
                    break
                step, gain = (np.where(good, v.T, v.T / 3).T for v in (step, gain))
            good &= open_
            if not good.any():
                break
            mu = np.where(good[:, None], mu + step, mu)
            value, r, bent = (np.where(good, n.T, o.T).T for n, o in ((new, value), (next_r, r), (next_bent, bent)))
        return mu, r

    def surely(self, mu, r):
        """A lower bound [B], in nats: the tangent at r lies above what is best, since that is concave in r."""
        zero, one = self.weights(mu)
        up = (self.zs * (one - zero) / (zero + (one - zero) * r[:, None])).sum(1)
        return np.maximum(self.value(mu, r) - np.maximum(up * (1 - r), -up * r).sum(1), 0)

    def held(self, mu, r):
        """I_Q(Z; Yhat | S) [B], in nats, of the Q of mu and r after each group is given its share of each answer."""
        zero, one = self.weights(mu)
        told = self.zs * one * r[:, None] / (zero + (one - zero) * r[:, None])
        rest, whole = self.zs - told, self.zs.sum(2)
        less, more = (_ratio(x, y.sum(2))[:, :, None] for x, y in ((self.a, told), (whole - self.a, rest)))
        told = np.where(less < 1, told * less, self.zs - rest * np.minimum(more, 1))
        total = np.zeros(len(mu))
        for q in (told, np.maximum(self.zs - told, 0)):
            fair = self.zs * _ratio(q.sum(1), self.client)[:, None]
            total += (q * np.log(np.where(q > 0, _ratio(q, fair), 1))).sum((1, 2))
        return total


def _ratio(over, under):
    """over / under, and 0 where both are 0."""
    return np.divide(over, under, out=np.zeros(np.broadcast_shapes(over.shape, under.shape)), where=under > 0)
