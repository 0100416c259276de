"""Which way a model must move to lower one part of the disparity and not another: derivatives of the parts, in bits.

Two groups, any number of predictions and clients. Letters as in `pid_cone.py`: Z groups, Y (Yhat) predictions,
S clients, B a batch of tables.

A derivative by the cells of a table of probabilities is known up to a number per table, as cells sum to 1: a step
along the simplex never sees it. Ours is that of the formula as it stands, for which every part is the sum of
P(z, yhat, s) times its derivative (Euler; the parts are homogeneous of degree one). `projected` takes the mean off.

- Global: log P(z | yhat) / P(z). Local: log P(z | yhat, s) / P(z | s).
- Unique: write E_Y(t) and E_S(t) for the excesses of `pid_cone._joined`. Unique is the integral of
  (E_Y - E_S) / (t (1 - t)) over those t where Yhat leads, E_Y > E_S. One more person with prediction yhat lifts
  E_Y(t) up to t = P(Z=1 | yhat), by 1 - t or by -t, and one more at client s lifts E_S; so the derivative is
  F_z(P(Z=1 | yhat)) - F_z(P(Z=1 | s)), where F_1(p) is the integral of 1 / t over the t up to p where Yhat leads
  and F_0(p) that of -1 / (1 - t): both are logarithms. Where Yhat leads nowhere, unique and its derivative are 0.
- Redundant = global - unique, masked = local - unique, of derivatives as of values.

Where a bend of the curve of Yhat lies exactly on a bend of the hull of S, unique has a kink; what is returned then
lies between the two one-sided derivatives. Where a slope is infinite (nobody in a cell whose neighbours are
populated) logarithms stop at `FLOOR`, so that it is about 100 bits; where a prediction or a client is empty, or a
group is, the slope is 0 or finite. Never NaN.

Source: ours. The formulas are those of arXiv:2307.11333 by the chain rule; steering by them is not in that paper.
"""

import math

import numpy as np

from .pid_cone import curves

FLOOR = 1e-30  # the least probability that a logarithm is taken of
TIE = 1e-14    # leads of Yhat below it are rounding


def gradients(p):
    """{part: [B, 2, Yhat, S]}, in bits: the derivatives of the five values by every cell of p [B, 2, Yhat, S].

    p: B distributions, each summing to 1. Parts: global_disparity, local_disparity, unique, redundant, masked.

    Yhat is Z flipped one time in five, one client: P(Z | Yhat) is 0.8 or 0.2 against 0.5.

    >>> noisy = np.array([[[[0.4], [0.1]], [[0.1], [0.4]]]])
    >>> gradients(noisy)["unique"][0, :, :, 0].round(3)
    array([[ 0.678, -1.322],
           [-1.322,  0.678]])

    Raises ValueError for another shape, for cells below 0 or not finite, and for tables that do not sum to 1.
    """
    p = np.asarray(p, dtype=float)
    if p.ndim != 4 or p.shape[1] != 2:
        raise ValueError(f"p has the shape {list(p.shape)}; it must be [B, 2 groups, predictions, clients]; "
                         "set one group against all others if there are more")
    if not (np.isfinite(p).all() and (p >= 0).all() and np.allclose(p.sum((1, 2, 3)), 1, atol=1e-6)):
        raise ValueError("p must hold finite probabilities of at least 0 that sum to 1 in each table; divide by sums")
    zy, zs = p.sum(3), p.sum(2)
    whole = np.broadcast_to(_told(zy, zy.sum(2)[:, :, None])[..., None], p.shape).copy()
    inside = _told(p, zs[:, :, None])
    by_y, by_s = _lead(zy, zs)
    unique = by_y[..., None] - by_s[:, :, None]
    found = {"global_disparity": whole, "local_disparity": inside, "unique": unique,
             "redundant": whole - unique, "masked": inside - unique}
    one_group = (zy.sum(2) == 0).any(1)
    for gradient in found.values():
        gradient[one_group] = 0  # nothing to tell apart
    return found


def projected(gradient):
    """A gradient [B, 2, Yhat, S] less the mean of each table: the direction of steepest rise along the simplex."""
    return gradient - gradient.mean((1, 2, 3), keepdims=True)


def steer(tables, unique=0.0, redundant=0.0, masked=0.0):
    """What the server sends back, so that training lowers unique, redundant and masked disparity by these knobs.

    tables [S, 2, Yhat]: each client's soft counts, T[z, yhat] = sum of p(yhat | x) over its rows x of group z. The
    knobs, 0 and up, are the weights of the parts (bits) beside the loss. Returns float32 tables g [S, 2, Yhat]:

        penalty of client s = the mean over its rows of sum_yhat g[s, z, yhat] p(yhat | x)

    added to its mean loss, with clients weighed by their rows (times S n_s / N where they are weighed alike). Then
    the gradient by the model of the clients' losses is that of unique * Unique + redundant * Redundant + masked *
    Masked at the current model, exactly. g is of one model: ask anew each round. What a prediction cannot change is
    taken off: g sums to 0 over yhat, and is 0 for a group that the client has nobody of.

    Predictions follow the group alike at two clients, so that all of the disparity is unique; masked is not there:

    >>> fair = [[[30, 20], [20, 30]], [[30, 20], [20, 30]]]
    >>> steer(fair, unique=1)[0].round(3)
    array([[ 0.292, -0.292],
           [-0.292,  0.292]], dtype=float32)

    Raises ValueError for tables of another shape, below 0, not finite or empty, and for knobs below 0.
    Source: ours.
    """
    knobs = {"unique": unique, "redundant": redundant, "masked": masked}
    for name, knob in knobs.items():
        if not (math.isfinite(knob) and knob >= 0):
            raise ValueError(f"{name} is {knob!r}; a knob must be finite and at least 0, 0 turns it off")
    tables = np.asarray(tables, dtype=float)
    if tables.ndim != 3 or tables.shape[1] != 2:
        raise ValueError(f"tables has the shape {list(tables.shape)}; it must be [clients, 2 groups, predictions]; "
                         "set one group against all others if there are more")
    if not (np.isfinite(tables).all() and (tables >= 0).all() and tables.sum() > 0):
        raise ValueError("tables must hold finite soft counts of at least 0, not all of them 0; leave out what is not")
    found = gradients(np.moveaxis(tables, 0, 2)[None] / tables.sum())
    sent = np.moveaxis(sum(knob * found[name][0] for name, knob in knobs.items()), 2, 0)
    sent = sent - sent.mean(2, keepdims=True)
    return np.where(tables.sum(2, keepdims=True) > 0, sent, 0).astype(np.float32)


def price(predictions):
    """Bytes (up, down) that `steer` costs a client each time: its soft table, and its table of slopes, in float32.

    >>> price(2)
    (16, 16)

    Raises ValueError for fewer than 1 prediction.
    """
    if predictions < 1:
        raise ValueError(f"predictions is {predictions}; it must be at least 1")
    return 4 * 2 * predictions, 4 * 2 * predictions


def _told(p, prior):
    """log2 P(z | rest) / P(z) for p [B, 2, ...] and the table `prior` of P(z), [B, 2, ...]; 0 where rest is empty."""
    share, prior = (np.divide(q, q.sum(1, keepdims=True), out=np.zeros_like(q), where=q.sum(1, keepdims=True) > 0)
                    for q in (p, prior))
    bits = np.log2(np.maximum(share, FLOOR)) - np.log2(np.maximum(prior, FLOOR))
    return np.where(p.sum(1, keepdims=True) > 0, bits, 0)


def _lead(zy, zs):
    """F_z at each prediction [B, 2, Yhat] and at each client [B, 2, S]: see above. From P(z, yhat) and P(z, s)."""
    kink, order, _, _, lead = curves(zy, zs)
    columns = np.concatenate([zy, zs], 2)
    mass = columns.sum(1)
    rest = np.divide(columns[:, 0], mass, out=np.ones_like(mass), where=mass > 0)
    rest = np.take_along_axis(rest, order, 1)  # 1 - kink, which would lose the digits of a posterior near 1
    lead = np.where(abs(lead) > TIE, lead, 0)
    here, there = lead[:, :-1], lead[:, 1:]
    crosses, ahead = here * there < 0, here + there > 0
    at = np.divide(here, here - there, out=np.zeros_like(here), where=crosses)  # where they cross, as a share
    begin = np.where(crosses & (here < 0), at, 0)
    end = np.where(crosses, np.where(here > 0, at, 1), ahead)

    def steps(t):
        """log2 of t at the end of Yhat's lead over t at its beginning, in each interval between two kinks."""
        width = np.diff(t)
        at_end, at_begin = (np.log2(np.maximum(t[:, :-1] + share * width, FLOOR)) for share in (end, begin))
        return at_end - at_begin

    f = np.zeros((len(zy), 2, columns.shape[2]))
    for z, t in enumerate((rest, kink)):
        np.put_along_axis(f[:, z], order[:, 1:], steps(t).cumsum(1), 1)
    return f[:, :, :zy.shape[2]], f[:, :, zy.shape[2]:]
