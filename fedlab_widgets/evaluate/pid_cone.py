"""The arithmetic of `pid.py`: from probabilities [Z, Yhat, S] to the parts of the disparity, in bits.

Two groups: a closed form, derived here, for whole batches of tables. Three or more: an exponential cone
(after Makkeh, Theis and Vicente, BROJA-2PID, Entropy 2018; recalled, not re-read) with a certificate of how
good its answer is, derived here, a rate-distortion bound after Blahut and Arimoto.

Letters: Z groups, Y predictions, S clients, B a batch of tables.
"""

import numpy as np

from .pid_two_answers import unique_two

ATOMS = ("unique", "redundant", "masked", "client_unique", "global_disparity", "local_disparity")
CLOSE = 3e-8  # nats between the two bounds at which we stop improving them
SWEEPS = 2000
SMALL = 400      # cells of a table, up to which the cone is as quick as the dual
UNSURE = 1e-6    # bits of `gap` beyond which the dual is not trusted


def atoms_any(p):
    """{atom: [B]} and gap [B], in bits, for distributions p [B, Z, Yhat, S] with any number of groups Z."""
    nothing = np.zeros(len(p))
    if p.shape[1] == 1:
        return dict.fromkeys(ATOMS, nothing), nothing
    if p.shape[1] == 2:
        return atoms_binary(p), nothing
    unique, gap = _several(p)
    whole, inside, mix = _disparities(p)
    parts = parts_from(whole, inside, mix, unique)
    return parts, np.minimum(gap, parts["unique"] - np.maximum(0, whole - mix))


def atoms_binary(p):
    """The parts of B tables with two groups, exactly: {atom: [B]}, in bits.

    p [B, 2, Yhat, S], each table a distribution (not checked).

    unique = I(Z; W) - I(Z; S), where W is the least informative thing that tells of Z as much as Yhat does
    and as much as S does; the ROC curve of W is the upper concave hull of the ROC curves of Yhat and of S.
    Ours: any Q with the pairs of the table lets (Yhat, S) do all that W does, so I_Q(Z; Yhat, S) >= I(Z; W);
    and drawing Yhat and S from W, each on its own, is such a Q and gives equality. For two states, "can do
    all that" is the order of the ROC curves (Blackwell), which is why this needs Z = 2.

    >>> and_gate = [[[[0.25, 0.25], [0, 0]], [[0.25, 0], [0, 0.25]]]]  # yhat is 1 where z and s both are
    >>> atoms_binary(np.array(and_gate))["unique"].round(6)
    array([0.311278])
    """
    whole, inside, mix = _disparities(p)
    return parts_from(whole, inside, mix, _joined(p.sum(3), p.sum(2)) - mix)


def _several(p):
    """(unique [B], gap [B]) of distributions [B, Z, Y, S] with Z >= 3; large ones with two answers by their dual."""
    answers = p.sum((0, 1, 3)) > 0
    if p[0].size <= SMALL or answers.sum() != 2 or (p.sum((0, 2, 3)) > 0).sum() < 3:
        return np.array([_unique(table) for table in p]).T
    unique, gap = unique_two(p.sum(3)[:, :, answers], p.sum(2))
    for i in np.flatnonzero(gap > UNSURE):
        unique[i], gap[i] = _unique(p[i])
    return unique, gap


def _unique(p):
    """(unique, gap) of one distribution [Z, Yhat, S] with Z >= 3: groups that nobody is in may leave two."""
    p = p[p.sum((1, 2)) > 0]
    if len(p) > 2:
        return _cone(p.sum(2), p.sum(1))
    return float(atoms_any(p[None])[0]["unique"][0]), 0.0


def _disparities(p):
    """I(Z; Yhat), I(Z; Yhat | S) and I(Z; S) of distributions p [B, Z, Yhat, S], each [B] in bits."""
    zy, zs, ys = p.sum(3), p.sum(2), p.sum(1)
    both, group, client = _neg_entropy(zs), _neg_entropy(zs.sum(2)), _neg_entropy(zs.sum(1))
    whole = _neg_entropy(zy) - group - _neg_entropy(zy.sum(1))
    inside = _neg_entropy(p) - both - _neg_entropy(ys) + client
    return np.maximum(whole, 0), np.maximum(inside, 0), np.maximum(both - group - client, 0)


def parts_from(whole, inside, mix, unique):
    """All six values from G, L, I(Z; S) and the unique part, each [B].

    Every distribution keeps unique between the two bounds; holding it there takes rounding off, so that each
    part is at least 0 and G = unique + redundant, L = unique + masked hold to the last bit.
    """
    unique = np.clip(unique, np.maximum(0, whole - mix), np.minimum(whole, inside))
    redundant = whole - unique
    client_unique = np.maximum(mix - redundant, 0)
    return dict(zip(ATOMS, (unique, redundant, inside - unique, client_unique, whole, inside), strict=True))


def _joined(zy, zs):
    """I(Z; W) [B], in bits, for W of `atoms_binary`, from P(z, yhat) [B, 2, Yhat] and P(z, s) [B, 2, S].

    A hull of two curves is awkward in batches, its dual is not. Write a channel M as its excess
    E(t) = sum_m P(m) max(P(Z=1|m) - t, 0): convex, piecewise linear, with a kink of size P(m) at each
    posterior P(Z=1|m). One ROC curve lies on or above another exactly when its excess does, so that W has the
    larger of the two excesses at every t. Walk over the kinks of both, add the crossings, read W off.
    """
    kink, order, beyond_y, beyond_s, lead = curves(zy, zs)
    width = np.diff(kink)
    here, there = lead[:, :-1], lead[:, 1:]
    crosses, ahead = here * there < 0, here + there > 0
    first = np.where(np.where(crosses, here > 0, ahead), beyond_y, beyond_s)
    last = np.where(np.where(crosses, there > 0, ahead), beyond_y, beyond_s)
    crossing = kink[:, :-1] + width * np.divide(here, here - there, out=np.zeros_like(here), where=crosses)
    ends = np.ones((len(kink), 1))
    jump = np.concatenate([ends, last], 1) - np.concatenate([first, 0 * ends], 1)
    known = (jump * _certainty(kink)).sum(1) + ((first - last) * _certainty(crossing)).sum(1)
    return known - _neg_entropy(zy.sum(2))


def curves(zy, zs):
    """The excesses of Yhat and S (see `_joined`) where either bends, from left to right.

    kink and order [B, n], the posteriors in order and where each stands among the n = Yhat + S columns; beyond_y and
    beyond_s [B, n - 1], minus the slopes of the two excesses between the kinks; lead [B, n], the first less the second.
    """
    mass = np.concatenate([zy, zs], 2).sum(1)
    hits = np.concatenate([zy[:, 1], zs[:, 1]], 1)
    posterior = np.minimum(np.divide(hits, mass, out=np.zeros_like(mass), where=mass > 0), 1)
    order = posterior.argsort(1)
    kink = np.take_along_axis(posterior, order, 1)
    mass, is_y = np.take_along_axis(mass, order, 1), order < zy.shape[2]
    beyond_y, beyond_s = _beyond(mass * is_y), _beyond(mass * ~is_y)  # minus the slopes between the kinks
    lead = np.zeros_like(kink)  # E of Yhat minus E of S at each kink
    lead[:, :-1] = ((beyond_y - beyond_s) * np.diff(kink))[:, ::-1].cumsum(1)[:, ::-1]
    return kink, order, beyond_y, beyond_s, lead


def _beyond(mass):
    """Mass to the right of each kink but the last: [B, n] -> [B, n - 1]."""
    return mass[:, :0:-1].cumsum(1)[:, ::-1]


def _xlogx(p):
    return p * np.log2(p, out=np.zeros_like(p), where=p > 0)


def _neg_entropy(p):
    """Minus the entropy of each table of a batch [B, ...], in bits."""
    return _xlogx(p.reshape(len(p), -1)).sum(1)


def _certainty(t):
    """Minus the entropy of a coin with bias t, in bits."""
    return _xlogx(t) + _xlogx(1 - t)


def _cone(zy, zs):
    """(unique, gap), in bits: min I_Q(Z; Yhat | S) over Q with the pairs zy [Z, Y] and zs [Z, S]; P(z) > 0.

    `unique` belongs to a Q that we hold, so it is never too small; it is too large by `gap` at most.

    >>> unique, gap = _cone(np.full((3, 2), 1 / 6), np.full((3, 4), 1 / 12))  # predictions tell nothing
    >>> bool(unique < 1e-7), bool(gap < 1e-7)
    (True, True)
    """
    zy, zs = zy[:, zy.sum(0) > 0], zs[:, zs.sum(0) > 0]
    q, worth = _solve(zy, zs)
    q = _feasible(q, zy, zs)
    upper = _local_nats(q, zs)
    lower = _certificate(q, worth, zy, zs, upper)
    return upper / np.log(2), max(upper - lower, 0.0) / np.log(2)


def _solve(zy, zs):
    """Clarabel's q [Z, Y, S], roughly feasible, and worth [Z, Y], the minimum's derivative by P(z, yhat).

    Minimise sum r with r >= q log(q / tau), tau(z, yhat, s) = P(z | s) sum over z of q(z, yhat, s): that is
    the cone (-r, q, tau). Cells that must be zero are left out; they would have no interior.
    """
    import clarabel  # only three or more groups need it
    from scipy.sparse import csc_matrix  # clarabel's own input format

    (Z, Y), S = zy.shape, zs.shape[1]
    z, y, s = np.nonzero((zy[:, :, None] > 0) & (zs[:, None, :] > 0))
    n, cell = len(z), np.arange(len(z))
    rows, cols, vals = [], [], []

    def put(row, col, value):
        for store, part in zip((rows, cols, vals), np.broadcast_arrays(row, col, value), strict=True):
            store.append(part)

    pair_y, pair_s = np.nonzero(zy.ravel())[0], np.nonzero(zs.ravel())[0]
    put(np.searchsorted(pair_y, z * Y + y), cell, 1.0)
    put(len(pair_y) + np.searchsorted(pair_s, z * S + s), cell, 1.0)
    top = len(pair_y) + len(pair_s)
    put(top + 3 * cell, n + cell, 1.0)
    put(top + 3 * cell + 1, cell, -1.0)
    mine, theirs = np.nonzero((y[:, None] == y) & (s[:, None] == s))  # cells with the same (yhat, s)
    put(top + 3 * mine + 2, theirs, -(zs / zs.sum(0))[z[mine], s[mine]])

    A = csc_matrix((np.concatenate(vals), (np.concatenate(rows), np.concatenate(cols))), (top + 3 * n, 2 * n))
    b = np.concatenate([zy.ravel()[pair_y], zs.ravel()[pair_s], np.zeros(3 * n)])
    cost = np.concatenate([np.zeros(n), np.ones(n)])
    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-10
    cones = [clarabel.ZeroConeT(top)] + [clarabel.ExponentialConeT()] * n
    answer = clarabel.DefaultSolver(csc_matrix((2 * n, 2 * n)), cost, A, b, cones, settings).solve()

    q, worth = np.zeros((Z, Y, S)), np.full((Z, Y), -np.inf)
    q[z, y, s] = np.maximum(np.nan_to_num(answer.x[:n]), 1e-15)
    worth[zy > 0] = -np.nan_to_num(answer.z[: len(pair_y)])
    return q, worth


def _feasible(q, zy, zs):
    """q with exactly the pairs zy and zs: rescale to each in turn, then lay what is missing on top."""
    for _ in range(SWEEPS):
        q = q * _ratio(zs, q.sum(1))[:, None, :]
        factor = _ratio(zy, q.sum(2))
        q = q * factor[:, :, None]
        if abs(factor[zy > 0] - 1).max() < 1e-13:
            break
    q = q * np.minimum(_ratio(zs, q.sum(1)), 1)[:, None, :]
    short_y, short_s = zy - q.sum(2), zs - q.sum(1)  # both at least 0 now, and equal in sum for each group
    short_y, short_s = np.maximum(short_y, 0), np.maximum(short_s, 0)
    total = short_y.sum(1)[:, None, None]
    return q + _ratio(short_y[:, :, None] * short_s[:, None, :], total)


def _local_nats(q, zs):
    """I_Q(Z; Yhat | S) in nats, for q whose pairs (Z, S) are zs."""
    tau = (zs / zs.sum(0))[:, None, :] * q.sum(0)
    return float((q * np.log(_ratio(q, tau), out=np.zeros_like(q), where=q > 0)).sum())


def _certificate(q, worth, zy, zs, upper):
    """A lower bound on the unique disparity, in nats, true whatever the solver returned.

    Pricing the pairs (Z, Yhat) splits the problem into one rate-distortion problem for each client, whose
    value any guess R(yhat | s) bounds from below (Blahut and Arimoto). With e = exp(worth) the bound is

        sum P(z, yhat) log e + sum P(z, s) log alpha - sum P(s) log max_yhat c,
        alpha = 1 / sum_yhat R e,   c(yhat, s) = sum_z P(z | s) alpha e.

    Each sweep R <- R c tightens it. 0 and I(Z; Yhat) - I(Z; S) are bounds too: the callers clip to them.
    """
    client = zs.sum(0)
    worth = worth - worth.max(1, keepdims=True)  # changes no bound, and keeps exp in range
    e, given, guess = np.exp(worth), zs / client, q.sum(0) / client
    fixed, best = float((zy * np.where(zy > 0, worth, 0)).sum()), 0.0
    for sweep in range(SWEEPS):
        alpha = 1 / np.maximum(e @ guess, 1e-300)
        c = e.T @ (given * alpha)
        if sweep % 10 == 0:
            value = fixed + (zs * np.log(alpha)).sum() - (client * np.log(c.max(0))).sum()
            best = max(best, float(value))
            if upper - best < CLOSE:
                break
        guess = guess * c
        guess /= guess.sum(0)
    return best


def _ratio(over, under):
    """over / under, and 0 where both are 0."""
    over, under = np.broadcast_arrays(over, under)
    return np.divide(over, under, out=np.zeros_like(over), where=under > 0)
