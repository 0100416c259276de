"""The arithmetic of `limits.py`: the most accurate predictions within limits on disparity, as one convex program.

A prediction is a number t(z, y, s) in [0, 1] for each kind of person: group z, label y, client s. From it follow,
all linear, the rates h(z, s) of being predicted 1, q(s) of a client, g(z) of a group and v of everybody, and

    G = sum P(z) KL(g(z) | v),     L = sum P(z, s) KL(h(z, s) | q(s)),

which are jointly convex. Each term h log(h / q) is an exponential cone; a limit of zero is h = q or g = v instead,
linear, since a cone without an interior stalls a solver. What the solver returns is not trusted: its point is moved
into the feasible set, and its prices make a bound that holds whatever they are (weak duality).

Letters: Z groups, S clients, n kinds of person that there are.
"""

from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

FREE, CONE, ZERO = "free", "cone", "zero"
LOG2 = np.log(2)
BOXED = ("t", "w", "h", "q", "g", "v")   # the variables that lie in [0, 1]; only the cones' r do not


class Program:
    """The programs of one population p [Z, 2, S], a distribution, for any pair of limits.

    rates [Z, 2, Yhat, S or 1], if given, are P(yhat | z, y) of a model: t is then held to what its predictions can be
    turned into at random, t(z, y) = sum over yhat of rates w(z, yhat), for each s or on average over the clients. The
    points w = 0 and 1 give the four corners of FACT's parallelogram (0, 0), (fpr, tpr), (1, 1), (1 - fpr, 1 - tpr).

    Not for several threads at once: each pair of kinds of limits keeps one solver, of which only b changes.
    """

    def __init__(self, p, rates=None):
        self.full = p.shape
        some, present = p.sum((1, 2)) > 0, p.sum((0, 1)) > 0
        self.kept = np.ix_(some, [True] * p.shape[1], present)
        self.p = p[self.kept]
        self.rates = None if rates is None else rates[some] if rates.shape[3] == 1 else rates[some][..., present]
        self.forms = {}

    def solve(self, most_global, most_local):
        """(t [Z, 2, S], G, L in bits, accuracy, bound on it, price of G and of L in accuracy per bit)."""
        truth = np.zeros(self.full)
        truth[:, 1] = 1
        found = self.disparities(truth)
        if self.rates is None and found[0] <= most_global and found[1] <= most_local:
            return truth, *found, 1.0, 1.0, 0.0, 0.0
        kinds = self._kind(most_global, self.most[0]), self._kind(most_local, self.most[1])
        if kinds not in self.forms:
            self.forms[kinds] = Form(self, *kinds)
        t, price, bound = self.forms[kinds].solve(most_global, most_local)
        if CONE in kinds:
            t = self._within(t, most_global, most_local)
        found, accuracy = self.disparities(t), self.accuracy(t)
        return t, *found, accuracy, max(min(bound, 1.0), accuracy), *price

    @cached_property
    def fair(self):
        """The most accurate predictions [Z, 2, S] without any disparity: they lie within every limit."""
        return self.forms.setdefault((ZERO, ZERO), Form(self, ZERO, ZERO)).solve(0, 0)[0]

    def _within(self, t, *limits):
        """t drawn towards `fair` until both limits hold: disparity is convex and zero there."""
        fair, far = self.fair, t
        for _ in range(20):   # a step too short by rounding and where it is steeper than a line
            over = max([found / most for found, most in zip(self.disparities(t), limits, strict=True) if most > 0])
            if over <= 1:
                break
            far = fair + (far - fair) * (0.999999999999 / np.sqrt(over))
            t = far
        else:
            t = fair
        return t if self.accuracy(t) > self.accuracy(fair) else fair

    def accuracy(self, t):
        p, t = self.p, t[self.kept]
        return float((p * np.where([[[False], [True]]], t, 1 - t)).sum())

    def disparities(self, t):
        """(G, L) in bits of predictions t [Z, 2, S]."""
        p, t = self.p, t[self.kept]
        zs = p.sum(1)
        h = _ratio((p * t).sum(1), zs)
        inside = (zs * _kl(h, (zs * h).sum(0) / zs.sum(0))).sum()
        z, g = zs.sum(1), (zs * h).sum(1) / zs.sum(1)
        return float((z * _kl(g, (z * g).sum())).sum() / LOG2), float(inside / LOG2)

    @cached_property
    def most(self):
        """What G and L cannot exceed, in bits: the uncertainty about the group, and one bit of answer."""
        zs = self.p.sum(1)
        return min(_entropy(zs.sum(1)), 1.0), min(_entropy(zs) - _entropy(zs.sum(0)), 1.0)

    @staticmethod
    def _kind(limit, most):
        return FREE if limit >= most else CONE if limit > 0 else ZERO


class Form:
    """One shape of the program: min c x subject to A x + s = b, s in cones; b alone depends on the limits."""

    def __init__(self, program, for_global, for_local):
        self.program, p = program, program.p
        zs, rates = p.sum(1), program.rates
        Z, S = zs.shape
        self.cell, pair = np.nonzero(p), np.nonzero(zs)
        (z, y, s), (pz, ps) = self.cell, pair
        shared = np.count_nonzero(zs, axis=0)[ps] > 1     # a client with one group has no disparity inside
        cones = {"local": (np.flatnonzero(shared) if for_local == CONE else [], zs[pair]),
                 "global": (np.arange(Z) if for_global == CONE else [], zs.sum(1))}
        self.size = {"t": len(z), "w": 0 if rates is None else Z * rates.shape[2] * rates.shape[3], "h": len(pz),
                     "q": S, "g": Z, "v": 1, "local": 2 * len(cones["local"][0]), "global": 2 * len(cones["global"][0])}

        def one(rows, columns, values, shape):
            return sparse.csr_matrix((np.broadcast_to(values, np.shape(rows)), (rows, columns)), shape)

        number = np.full((Z, S), -1)
        number[pair] = np.arange(len(pz))
        h, q, g, v = (-sparse.eye_array(self.size[name], format="csr") for name in ("h", "q", "g", "v"))
        client, group = one(range(len(pz)), ps, 1.0, (len(pz), S)), np.ones((Z, 1))
        share = one(ps, range(len(pz)), zs[pair] / zs.sum(0)[ps], (S, len(pz)))     # P(z | s)
        equal = [self._row(t=one(number[z, s], range(len(z)), p[self.cell] / zs[z, s], (len(pz), len(z))), h=h),
                 self._row(h=-h, q=-client) if for_local == ZERO else self._row(h=share, q=q),
                 self._row(h=one(pz, range(len(pz)), zs[pair] / zs.sum(1)[pz], (Z, len(pz))), g=g)]
        if for_global == ZERO and for_local == ZERO:      # g = v follows in part: keep what does not
            _, kept, apart = np.linalg.svd(zs / zs.sum(1, keepdims=True) - zs.sum(0), full_matrices=False)
            equal.append(self._row(q=sparse.csr_matrix(apart[kept > 1e-12])))
        equal.append(self._row(g=-g, v=-sparse.csr_matrix(group)) if for_global == ZERO and for_local != ZERO
                     else self._row(g=sparse.csr_matrix(zs.sum(1)[None]), v=v))
        if rates is not None:
            equal.append(self._held(p, rates, one))
        self.equal = sparse.vstack(equal, format="csc")
        self.equal.eliminate_zeros()

        box = [self._row(**{name: sign * sparse.eye_array(self.size[name])}) for name in ("t", "w")
               for sign in (-1, 1) if self.size[name]]
        self.boxed = sum(b.shape[0] for b in box)
        self.limited = [name for name in ("global", "local") if self.size[name]]
        self.weight = [np.repeat(cones[name][1][cones[name][0]], 2) for name in self.limited]
        limits = [self._row(**{name: sparse.csr_matrix(w[None])})
                  for name, w in zip(self.limited, self.weight, strict=True)]
        ends = {"global": ("g", "v", sparse.csr_matrix(group)), "local": ("h", "q", client)}
        bodies = [self._cones(name, cones[name][0], *ends[name]) for name in self.limited]
        self.A = sparse.vstack([self.equal, *box, *limits, *bodies], format="csc")
        self.top = self.equal.shape[0]
        self.cost = np.zeros(self.A.shape[1])
        self.cost[:len(z)] = p[self.cell] * np.where(y, -1, 1)
        self.constant = float(p[:, 1].sum())          # the error of predicting nobody
        upper = [np.full(self.size[name], float(sign > 0)) for name in ("t", "w") for sign in (-1, 1)]
        sides = [np.tile([0.0, 0, 0, 0, 1, 1], self.size[name] // 2) for name in self.limited]
        self.b = np.concatenate([np.zeros(self.top), *upper, np.zeros(len(self.limited)), *sides])
        self.solver = None

    def _row(self, **parts):
        """Rows of A from blocks of some variables."""
        tall = next(iter(parts.values())).shape[0]
        return sparse.hstack([parts.get(name, sparse.csr_matrix((tall, wide))) for name, wide in self.size.items()],
                             format="csr")

    def _cones(self, name, some, mine, theirs, spread):
        """Cones (-r, h, q) and (-r, 1 - h, 1 - q), one after the other, for some of the rates `mine`."""
        n = len(some)
        pick = sparse.eye_array(self.size[mine], format="csr")[some]
        blocks = []
        for answer, sign in enumerate((-1, 1)):
            r = sparse.csr_matrix((np.ones(n), (range(n), 2 * np.arange(n) + answer)), (n, 2 * n))
            blocks += [self._row(**{name: r}), self._row(**{mine: sign * pick}),
                       self._row(**{theirs: sign * (pick @ spread)})]
        return sparse.vstack(blocks, format="csr")[np.arange(6 * n).reshape(6, n).T.ravel()]

    def _held(self, p, rates, one):
        """Rows that hold t, each client's or the mean over clients, to randomised predictions of the model."""
        z, y, s = self.cell
        Z, Y, answers, K = rates.shape
        mean = p.sum(2, keepdims=True) if K == 1 else p
        kind, row = np.unique((z * Y + y) * K + s * (K > 1), return_inverse=True)
        kz, ky, ks = kind // K // Y, kind // K % Y, kind % K
        shape = len(kind), len(z)
        t = one(row, range(len(z)), p[self.cell] / mean[z, y, s * (K > 1)], shape)
        at = ((kz[:, None] * answers + np.arange(answers)) * K + ks[:, None]).ravel()
        w = one(np.repeat(range(len(kind)), answers), at, rates[kz, ky, :, ks].ravel(), (len(kind), self.size["w"]))
        return self._row(t=t, w=-w)

    def solve(self, most_global, most_local):
        """(t [Z, 2, S] that satisfies every equality, prices of G and L in accuracy per bit, bound on the accuracy)."""
        b, at = self.b.copy(), self.top + self.boxed
        limit = {"global": most_global, "local": most_local}
        b[at:at + len(self.limited)] = [limit[name] * LOG2 for name in self.limited]
        answer = self._run(b)
        x, z = np.nan_to_num(answer.x), np.nan_to_num(answer.z)
        t, kept = np.zeros(self.program.full), np.zeros(self.program.p.shape)
        kept[self.cell] = self._inside(x)[:self.size["t"]]
        t[self.program.kept] = kept
        price = dict.fromkeys(limit, 0.0) | {name: max(z[at + i], 0.0) * LOG2 for i, name in enumerate(self.limited)}
        bounds = [self._bound(z, b, kept) for kept in np.ndindex(*[2] * len(self.limited))]
        return t, (price["global"], price["local"]), 1 - max(bounds)

    def _run(self, b):
        import clarabel  # a third of a second to import

        if self.solver is None:
            settings = clarabel.DefaultSettings()
            settings.verbose, settings.max_threads, settings.presolve_enable = False, 1, False
            settings.tol_gap_abs = settings.tol_gap_rel = 1e-10
            settings.tol_feas, settings.max_step_fraction = 1e-12, 0.95   # many clients and small limits need both
            n, m = self.A.shape[1], sum(self.size[name] for name in self.limited)
            cones = [clarabel.ZeroConeT(self.top), clarabel.NonnegativeConeT(self.boxed + len(self.limited))]
            self.solver = clarabel.DefaultSolver(sparse.csc_matrix((n, n)), self.cost, sparse.csc_matrix(self.A), b,
                                                 cones + [clarabel.ExponentialConeT()] * m, settings)
        else:
            self.solver.update(b=b)
        return self.solver.solve()

    @cached_property
    def _normal(self):
        E = self.equal
        return splu((E @ E.T + 1e-13 * sparse.eye_array(E.shape[0])).tocsc())

    def _inside(self, x):
        """The nearest x that satisfies the equalities, then drawn towards 1/2 into the box: 1/2 satisfies them all."""
        for _ in range(2):   # once more for the last digits
            x = x - self.equal.T @ self._normal.solve(self.equal @ x)
        x = x[:sum(self.size[name] for name in BOXED)] - 0.5
        return np.clip(x * min(1.0, 0.5 / max(abs(x).max(), 1e-300)) + 0.5, 0, 1)

    def _bound(self, z, b, kept):
        """A lower bound on the error, true for every z: weak duality, with the prices of limits not `kept` at zero.

        Made to satisfy the duals of the cones exactly: (-u, v, w) with w = u exp(-v / u - 1) for u = price x weight.
        """
        z, at = z.copy(), self.top + self.boxed
        z[self.top:at] = 0
        z[at:at + len(kept)] = np.maximum(z[at:at + len(kept)], 0) * kept
        row = at + len(kept)
        for price, weight in zip(z[at:row].copy(), self.weight, strict=True):
            body, u = z[row:row + 3 * len(weight)].reshape(-1, 3), price * weight
            body[:, 0] = -u
            over = np.divide(body[:, 1], u, out=np.zeros_like(u), where=u > 0)
            body[:, 1] = np.where(u > 0, body[:, 1], 0)
            body[:, 2] = u * np.exp(np.clip(-over - 1, -700, 300))
            row += 3 * len(weight)
        left = (self.cost + self.A.T @ z)[:sum(self.size[name] for name in BOXED)]
        return float(self.constant - b @ z + np.minimum(left, 0).sum())


def _kl(h, q):
    """KL divergence of coins with bias h from coins with bias q, in nats."""
    def part(h, q):
        h, q = np.broadcast_arrays(np.clip(h, 0, 1), np.clip(q, 0, 1))   # rounding
        return h * np.log(np.divide(h, q, out=np.ones(h.shape), where=(h > 0) & (q > 0)))

    return np.maximum(part(h, q) + part(1 - h, 1 - q), 0)


def _entropy(p):
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


def _ratio(over, under):
    return np.divide(over, under, out=np.zeros_like(over), where=under > 0)
