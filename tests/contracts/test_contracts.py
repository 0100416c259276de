"""Every part of the catalogue through every contract (the longest shelves in a file of their own), and good parts of
one's own."""

from typing import Literal

import pytest
import torch
from pydantic import Field

import fedlab_widgets as fl
from fedlab_widgets.contracts import contracts_of
from fedlab_widgets.contracts.toy import Case, run, table
from fedlab_widgets.schedule import Lockstep
from fedlab_widgets.slots import Aggregate, Correct
from fedlab_widgets.types import Memory, Table

MADE = {"arrays": table()}   # parts that are made by a function, not by hand

SUBJECTS = [(slot, name, MADE.get(name, cls)) for slot, shelf in fl.catalogue().items() for name, cls in shelf.items()
            if slot not in ("aggregate", "attack", "encode", "partition")]
EVERY = [pytest.param(subject, contract, id=f"{slot}-{name}-{contract}")
         for slot, name, subject in SUBJECTS for contract in contracts_of(slot)]


@pytest.mark.parametrize("subject, contract", EVERY)
def test_every_part_keeps_every_contract(subject, contract):
    report = fl.check_part(subject, only=contract)
    if report.skipped:
        pytest.skip(report.skipped[contract])
    assert list(report.kept) == [contract]


# The contracts of defaults leave the other settings of a part to these: at work, in chunks, resumed, on tiny cohorts.
SETTINGS = [
    fl.SGD(momentum=0.9, weight_decay=0.01, clip=0.5, schedule="cosine", epochs=2, batch=5),
    fl.SGD(batch=None, epochs=3),
    fl.SGD(steps=7, batch=4, correct=(fl.Proximal(mu=0.1), fl.ControlVariate())),
    fl.KeepLayers(layers=("*bias",)),
    fl.TopK(fraction=0.01),
    fl.TopK(fraction=1, feedback=False),
    fl.Mean(weights="samples"),
    fl.Mean(weights="capped", cap=10, denominator="expected"),
    fl.Krum(f=0, select=3),
    fl.CentredClipping(tau=0.1, steps=3),
    fl.NormClipping(bound=0.2, then=fl.Median()),
    fl.Bucketing(then=fl.Krum(f=1)),
    fl.Reweigh(scope="local"),
    fl.FairWeights(gap="parity", beta=0.1),
    fl.SignFlip(liars=(0, 9), scale=3.0),
    fl.Gaussian(noise_multiplier=0),
    fl.Apply(lr=0.5),
    fl.MLP(hidden=(3, 17)),
    fl.CNN(channels=3, hidden=5),
    fl.Lockstep(sampler=fl.Poisson(q=0.6), dropout=0.3, clients=(1, 4, 5)),
    fl.Poisson(q=0.5, cap=3),
    fl.Fixed(m=3),
    fl.Dirichlet(clients=30, alpha=0.1, min_rows=0),
    fl.IID(clients=176),
]


@pytest.mark.parametrize("contract", ["json", "rounds", "stacked", "chunk", "resume", "bytes", "cohorts", "terms"])
@pytest.mark.parametrize("subject", SETTINGS, ids=lambda p: repr(p)[:60])
def test_other_settings_keep_the_contracts_of_running(subject, contract):
    if contract in contracts_of(subject.slot):
        fl.check_part(subject, only=contract)


def test_some_rounds_of_the_empty_cohorts_are_empty():
    """The contract on empty cohorts would look at nothing if nobody ever stayed away."""
    sizes = [e["cohort"] for e in run(Case(fl.Apply()).plan(rounds=6, schedule=Lockstep(dropout=0.95)), 6)[1]
             if e["event"] == "RoundEnded"]
    assert [] in sizes and any(sizes)


def test_the_report_names_what_ran_and_what_did_not():
    report = fl.check_part(fl.Median)
    assert set(report.kept) | set(report.skipped) == set(contracts_of("aggregate"))
    assert str(report).startswith("Median keeps ") and "✓ permuted" in str(report)
    assert fl.check_part(fl.TopK(fraction=0.5), only="wire").part == "TopK(fraction=0.5, feedback=True)"


class Pull(Correct):
    """Pull along the sign of the drift, plus a running mean of each client's ends: a general correction with memory.

    grad: g [C, P] -> [C, P]; own m [N, P]. Raises BadInput for a strength out of range. Source: this test.
    """

    linear = False

    strength: float = Field(0.01, ge=0, le=1, description="length of the pull")
    kind: Literal["sign", "plain"] = Field("sign", description="which pull")

    def init(self, world):
        return Memory(own={"m": Table(world.clients, torch.zeros(world.layout.total, dtype=world.dtype,
                                                                 device=world.device))})

    def grad(self, g, w, start, mine):
        drift = w - start
        return g + self.strength * (drift.sign() if self.kind == "sign" else drift) + 0.01 * mine.own["m"]

    def finish(self, world, start, end, path, mine):
        return {}, {"m": (mine.own["m"] + end - start) / 2}


class Trimmed(Aggregate):
    """Average the middle half of every column.

    finish: rows [C, D] -> [D]. Raises BadInput for cut out of range. Source: Yin et al., ICML 2018.
    """

    cut: float = Field(0.25, ge=0, lt=0.5, description="share cut off at each end")

    def finish(self, total, weights, expected):
        rows = torch.cat(total).sort(0).values
        off = int(self.cut * len(rows))
        return rows[off:len(rows) - off].mean(0)


@pytest.mark.parametrize("cls", [Pull, Trimmed])
def test_good_parts_of_ones_own_pass(cls):
    report = fl.check_part(fl.part(cls))
    assert set(report.skipped) <= {"cuda", "cuda rounds"} and len(report.kept) >= 15


def test_parts_of_a_test_leave_no_trace():
    assert "trimmed" not in fl.catalogue("aggregate") and "pull" not in fl.catalogue("correct")
