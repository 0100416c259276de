"""The canonical tables: their parts against `decompose`, their expressions, a reference, an audit and the panel."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import fedlab_widgets as fl
from fedlab_widgets.evaluate.canonical import EXAMPLES, canonical, h
from fedlab_widgets.part import BadInput

REFERENCE = {case["name"]: case for case in json.loads(
    (Path(__file__).parents[1] / "oracles" / "pid.json").read_text())["cases"]}
PARTS = ("unique", "redundant", "masked")

# unique, redundant and masked in bits, worked out on paper to six digits:
# redundant 90%: a client's answer is its number, so G = I(Z; S) = 1 - h(.1) = 1 - .468996, and L = 0.
# sign flip: each group gets .4 over everybody, so G = 0; in a client .2 and .6, h(.4) - (h(.2) + h(.6)) / 2
#            = .970951 - (.721928 + .970951) / 2.
# and: yes to a quarter, half of B: G = h(.25) - h(.5) / 2 = .811278 - .5; L = 1 / 2, all from client 1; S tells nothing
#      of Z, so nothing is redundant.
# target and: (Z, Yhat) and (Z, S) are the same table, so Yhat has nothing that S lacks; L = 1 / 2.
# noisy unique: 1 - h(.2) = 1 - .721928.
# single-group clients: yes to .2 / .45 of A and .4 / .55 of B, .6 over all: h(.6) - .45 h(4/9) - .55 h(8/11)
#                       = .970951 - .45 * .991076 - .55 * .845351; the one client with both groups is fair.
BY_HAND = {
    "pure unique": (1, 0, 0), "pure redundant": (0, 1, 0), "redundant 90%": (0, 0.531004, 0),
    "pure masked": (0, 0, 1), "sign flip": (0, 0, 0.124511), "and": (0.311278, 0, 0.188722),
    "target and": (0, 0.311278, 0.5), "copy": (1, 0, 0), "noisy unique": (0.278072, 0, 0), "constant": (0, 0, 0),
    "single-group clients": (0, 0.060023, 0),
}
SAME = {  # what the reference calls the same joints
    "pure unique": "pure_unique", "pure redundant": "pure_redundant_copy", "redundant 90%": "pure_redundant_90",
    "pure masked": "pure_masked_xor", "and": "and", "target and": "target_and", "copy": "copy_4ary",
    "noisy unique": "unique_4clients", "single-group clients": "single_group_clients",
}


def parts(told):
    return [getattr(told, name) for name in PARTS]


def test_every_table_is_worked_out_by_hand():
    assert set(EXAMPLES) == set(BY_HAND)


@pytest.mark.parametrize("name", EXAMPLES)
def test_values(name):
    told = canonical(name)
    found = fl.decompose(told.table)
    np.testing.assert_allclose(parts(told), BY_HAND[name], atol=5e-7)
    np.testing.assert_allclose(parts(found), parts(told), atol=1e-12)
    assert found.global_disparity == pytest.approx(told.global_disparity, abs=1e-12)
    assert found.local_disparity == pytest.approx(told.local_disparity, abs=1e-12)
    for value in parts(told):
        assert eval(value.expression, {"h": h, "log2": math.log2}) == value


@pytest.mark.parametrize("name", SAME)
def test_the_joints_are_those_of_the_reference(name):
    np.testing.assert_allclose(canonical(name).table, REFERENCE[SAME[name]]["pmf"], atol=1e-15)


@pytest.mark.parametrize("name", EXAMPLES)
def test_counts_and_frame_say_the_same(name):
    told = canonical(name)
    counts, rows = told.counts, told.frame()
    assert counts.sum() == len(rows) == 4000
    np.testing.assert_allclose(counts.sum(2).transpose(1, 2, 0) / 4000, told.table, atol=1e-15)
    assert (counts[:, :, 0] == counts[:, :, 1]).all()          # labels are a fair coin in every cell
    audit = fl.audit(rows, outcome="outcome", prediction="prediction", group="group", client="client")
    assert audit.groups == told.groups and audit.clients == told.clients and audit.labels == told.labels
    np.testing.assert_array_equal(audit.counts, counts)
    np.testing.assert_allclose(parts(audit.disparity), parts(told), atol=1e-12)
    assert audit.reading.data_gap.points == 0


def test_the_panel_takes_one_as_it_is():
    panel = fl.WhatIf.of(canonical("pure masked"))
    assert panel.reading.disparity.masked == pytest.approx(1, abs=1e-12)
    panel.choice.value = "alike"   # the same people, dealt at random: what was masked is gone, up to chance
    assert panel.reading.disparity.masked < 0.01


def test_a_table_cannot_be_written_into():
    with pytest.raises(ValueError):
        canonical("pure unique").table[0, 0, 0] = 1


def test_names():
    assert canonical("Pure_Masked") is canonical("pure masked")
    with pytest.raises(BadInput, match=r"'sign flop' is none of pure unique, .*did you mean 'sign flip'"):
        canonical("sign flop")
    with pytest.raises(BadInput, match="None is none of"):
        canonical(None)
