"""The dual for two answers, against numbers by hand, the cone of `pid_cone.py`, and its own two bounds."""

import numpy as np
import pytest

from fedlab_widgets.evaluate.pid_cone import _unique
from fedlab_widgets.evaluate.pid_two_answers import unique_two


def pairs(p):
    return p.sum(3), p.sum(2)


def drawn(rng, groups, clients, people, spread=1.0):
    """A table [groups, 2, clients] of counts over their sum; small ones have zeros and groups of one answer."""
    mix = rng.dirichlet(np.full(clients, spread), groups) / groups
    rate = rng.random((groups, 1))
    return rng.multinomial(people, np.stack([mix * (1 - rate), mix * rate], 1).ravel()).reshape(
        groups, 2, clients) / people


def test_by_hand():
    # The client is as likely for every group: unique = I(Z; Yhat). Of three equal groups none, half and all are
    # predicted 1: P(1) = 1/2, so that it is H(Yhat) - H(Yhat | Z) = 1 - (0 + 1 + 0) / 3 = 2/3 bit.
    p = np.array([[1, 0], [0.5, 0.5], [0, 1]])[:, :, None] / 3 * np.full(4, 1 / 4)
    # Four groups, of which the answer tells one half and the client the other: 1 bit (`hull.one_against_rest`).
    copy = np.zeros((4, 2, 2))
    copy[range(4), [0, 0, 1, 1], [0, 1, 0, 1]] = 1 / 4
    for table, bits in ((p, 2 / 3), (copy, 1)):
        unique, gap = unique_two(*pairs(table[None]))
        assert unique[0] == pytest.approx(bits, abs=1e-7) and gap[0] < 1e-7
    # The answer is the client's, whoever is there: I(Z; Yhat | S) = 0, and unique is no larger.
    told = np.array([[3, 1], [1, 1], [1, 3]])
    answer = np.stack([told * [1, 0], told * [0, 1]], 1) / told.sum()
    unique, gap = unique_two(*pairs(answer[None]))
    assert 0 <= unique[0] < 1e-7 and gap[0] < 1e-7


@pytest.mark.parametrize("groups, clients, people, spread", [
    (3, 4, 500, 1), (3, 3, 20, 1), (4, 2, 1000, 0.3), (5, 20, 300, 0.2), (10, 20, 60, 1), (10, 8, 100_000, 5)])
def test_a_batch_is_as_the_cone_one_by_one(groups, clients, people, spread):
    rng = np.random.default_rng(groups * clients)
    tables = np.stack([drawn(rng, groups, clients, people, spread) for _ in range(8)])
    unique, gap = unique_two(*pairs(tables))
    assert gap.max() < 1e-7
    for found, table in zip(unique, tables, strict=True):
        cone, sure = _unique(table)
        assert cone - sure - 1e-9 <= found <= cone + 1e-7      # both are upper bounds that are nearly reached


def test_many_clients_are_certified():
    rng = np.random.default_rng(0)
    tables = np.stack([drawn(rng, 10, 500, 20_000, 5) for _ in range(3)])
    unique, gap = unique_two(*pairs(tables))
    assert gap.max() < 1e-7 and (unique > 1e-4).all()


def test_what_nobody_belongs_to_changes_nothing():
    p = drawn(np.random.default_rng(1), 3, 5, 400)
    more = np.zeros((4, 2, 6))
    more[np.ix_([0, 1, 3], [0, 1], [0, 1, 2, 4, 5])] = p
    plain, padded = (unique_two(*pairs(t[None]))[0][0] for t in (p, more))
    assert padded == pytest.approx(plain, abs=1e-9)
    # Two clients with the same mix of groups may be one: unique sees P(z, s) by P(z | s) only.
    halves = np.concatenate([p[:, :, :1] / 2, p[:, :, :1] / 2, p[:, :, 1:]], 2)
    assert unique_two(*pairs(halves[None]))[0][0] == pytest.approx(plain, abs=3e-8)
