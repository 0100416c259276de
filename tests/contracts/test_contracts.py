"""Every part of the catalogue through every contract, and parts that break one through the contract they break."""

from typing import ClassVar, Literal

import pytest
import torch
from pydantic import Field, field_serializer, field_validator

import fedlab_widgets as fl
from fedlab_widgets.contracts import ContractBroken, contracts_of
from fedlab_widgets.contracts.toy import Case, run, table
from fedlab_widgets.part import _CATALOGUE
from fedlab_widgets.schedule import Lockstep
from fedlab_widgets.slots import Aggregate, Attack, Correct, Encode, Evaluate, Net, Privatise, Sampler, Server
from fedlab_widgets.types import Memory, Table

MADE = {"arrays": table()}   # parts that are made by a function, not by hand

SUBJECTS = [(slot, name, MADE.get(name, cls)) for slot, shelf in fl.catalogue().items() for name, cls in shelf.items()]
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


@pytest.fixture(autouse=True)
def catalogue_stays_as_it_was():
    before = {slot: dict(shelf) for slot, shelf in _CATALOGUE.items()}
    yield
    _CATALOGUE.clear()
    _CATALOGUE.update(before)


def broken_by(cls, contract):
    """check_part refuses the part, names this contract and this part, and nothing but a sentence is seen."""
    with pytest.raises(ContractBroken) as refusal:
        fl.check_part(fl.part(cls))
    assert refusal.value.contract == contract, str(refusal.value)
    assert refusal.value.part == cls.__name__ in str(refusal.value)
    return refusal.value.seen


def test_a_part_that_changes_its_input():
    class InPlace(Attack):
        """Liars send the opposite, written over what they had.

        lie: rows [C, D]. Raises nothing. Source: this test.
        """

        def lie(self, rows, bad, keys):
            rows[bad] *= -1
            return rows

    assert "rows" in broken_by(InPlace, "untouched")


def test_a_part_that_changes_the_world():
    class Eraser(Server):
        """Forget the first label after each round.

        step: model [P]. Raises nothing. Source: this test.
        """

        def step(self, world, state, value, memory):
            world.shards.y[0] = 1 - world.shards.y[0]
            return state.model + value["update"].mean(), memory

    assert ".y in place" in broken_by(Eraser, "untouched")


def test_a_part_that_draws_from_torch():
    class Noisy(Attack):
        """Liars send noise.

        lie: rows [C, D]. Raises nothing. Source: this test.
        """

        def lie(self, rows, bad, keys):
            return torch.where(bad[:, None], torch.rand_like(rows), rows)

    assert "keys" in broken_by(Noisy, "repeat")


def test_a_codec_that_undercuts_its_price():
    class Cheap(Encode):
        """Send the row and say that it was half as long.

        encode: rows [C, D]. Raises nothing. Source: this test.
        """

        def wire(self, space, dtype):
            return {"values": (space.width, dtype)}

        def encode(self, rows, space, keys, mine):
            return {"values": rows}, mine

        def decode(self, arrays, space):
            return arrays["values"]

        def price(self, space, dtype):
            return space.width * dtype.itemsize // 2

    assert "packs" in broken_by(Cheap, "wire")


def test_a_codec_that_loses_columns():
    class Short(Encode):
        """Send all columns but the last.

        encode: rows [C, D]. Raises nothing. Source: this test.
        """

        def wire(self, space, dtype):
            return {"values": (space.width - 1, dtype)}

        def encode(self, rows, space, keys, mine):
            return {"values": rows[:, :-1]}, mine

        def decode(self, arrays, space):
            return arrays["values"]

    assert "decode(encode(rows))" in broken_by(Short, "wire")


def test_a_part_that_looks_at_its_neighbours_in_the_chunk():
    class Centred(Privatise):
        """Divide each row by the number of rows in the chunk.

        client: rows [C, D]. Raises nothing. Source: this test.
        """

        central = False

        def client(self, rows, keys):
            return rows / len(rows)

        def ledger(self, sampling, clients, rounds):
            return None

    assert "together" in broken_by(Centred, "pieces")
    with pytest.raises(ContractBroken, match="'chunk'"):
        fl.check_part(Centred, only="chunk")
    with pytest.raises(ContractBroken, match="'stacked'"):
        fl.check_part(Centred, only="stacked")


def test_a_part_that_keeps_state_on_its_class():
    class Momentum(Server):
        """Half of the last step is taken again.

        step: model [P]. Raises nothing. Source: this test.
        """

        last: ClassVar[list] = [0.0]

        def step(self, world, state, value, memory):
            self.last[0] = value["update"].mean() + self.last[0] / 2
            return state.model + world.sent.put(value["update"]) + self.last[0], memory

    assert "class" in broken_by(Momentum, "untouched")
    with pytest.raises(ContractBroken, match="'repeat'"):
        fl.check_part(Momentum, only="repeat")


def test_a_part_that_keeps_state_where_a_snapshot_does_not_reach():
    class Forgetful(Server):
        """Count rounds in a memory that init does not make.

        step: model [P]. Raises nothing. Source: this test.
        """

        def step(self, world, state, value, memory):
            count = memory.shared.get("count", torch.zeros(())) + 1
            return state.model + world.sent.put(value["update"]) / count, Memory(shared={"count": count})

    fl.part(Forgetful)
    with pytest.raises(ContractBroken, match="'resume'"):
        fl.check_part(Forgetful, only="resume")
    assert "memory" in broken_by(Forgetful, "terms")


def test_a_docstring_without_a_source():
    class Anonymous(Server):
        """Add the update to the model.

        step: model [P]. Raises nothing.
        """

        def step(self, world, state, value, memory):
            return state.model + world.sent.put(value["update"]), memory

    assert "source" in broken_by(Anonymous, "wording")
    Anonymous.__doc__ = None
    assert broken_by(Anonymous, "wording")


def test_a_field_without_a_description():
    class Mute(Server):
        """Add the update to the model.

        step: model [P]. Raises nothing. Source: this test.
        """

        lr: float = Field(1.0, gt=0, le=1)

        def step(self, world, state, value, memory):
            return state.model + self.lr * world.sent.put(value["update"]), memory

    assert "lr" in broken_by(Mute, "fields")


def test_a_part_that_breaks_in_float64():
    class Single(Aggregate):
        """Average in single precision whatever comes.

        finish: rows [C, D] -> [D]. Raises nothing. Source: this test.
        """

        def finish(self, total, weights, expected):
            return torch.cat(total).float().mean(0)

    class Fixed32(Aggregate):
        """Weigh with a matrix of single precision.

        finish: rows [C, D] -> [D]. Raises nothing. Source: this test.
        """

        def finish(self, total, weights, expected):
            rows = torch.cat(total)
            return torch.ones(len(rows)) @ rows / len(rows)

    assert "float32" in broken_by(Single, "precision")
    assert "RuntimeError" in broken_by(Fixed32, "precision")


def test_an_aggregate_that_depends_on_the_order():
    class First(Aggregate):
        """Believe the first client.

        finish: rows [C, D] -> [D]. Raises nothing. Source: this test.
        """

        def finish(self, total, weights, expected):
            return torch.cat(total)[0]

    assert "order" in broken_by(First, "permuted")


def test_an_aggregate_that_understates_its_sensitivity():
    class Bold(Aggregate):
        """Sum the rows and call it private.

        fold: rows [C, D] -> [D]. Raises nothing. Source: this test.
        """

        folds = True

        @property
        def sensitivity(self):
            return 0.1

        def fold(self, total, rows, weights):
            return rows.sum(0) + (0 if total is None else total)

        def finish(self, total, weights, expected):
            return total / expected

    assert "sensitivity" in broken_by(Bold, "terms")


def test_an_attack_that_touches_honest_rows():
    class Careless(Attack):
        """Everybody sends the opposite.

        lie: rows [C, D]. Raises nothing. Source: this test.
        """

        def lie(self, rows, bad, keys):
            return -rows

    assert "honest" in broken_by(Careless, "terms")


def test_a_sampler_that_misstates_its_rate():
    class Half(Sampler):
        """Ask every second client and say that all are asked.

        draw: positions [m]. Raises nothing. Source: this test.
        """

        def draw(self, eligible, key):
            return torch.arange(0, eligible, 2)

        def rate(self, eligible):
            return 1.0

        def sampling(self, eligible):
            return None

    assert "rate" in broken_by(Half, "terms")


def test_a_reading_that_fails_on_empty_tables():
    class Share(Evaluate):
        """The share of rows in the first group.

        read: a share, 0 to 1. Raises nothing. Source: this test.
        """

        def read(self, tables):
            return {"share": int(tables.counts[:, 0].sum()) / int(tables.counts.sum())}

    assert "ZeroDivisionError" in broken_by(Share, "terms")


def test_a_field_that_takes_anything():
    class Lenient(Server):
        """Add the update to the model, with a step size that is put right silently.

        step: model [P]. Raises nothing. Source: this test.
        """

        lr: float = Field(1.0, gt=0, le=1, description="step size")

        @field_validator("lr", mode="before")
        @classmethod
        def _put_right(cls, value):
            return min(max(value, 1e-3), 1.0) if isinstance(value, float) else value

        def step(self, world, state, value, memory):
            return state.model + self.lr * world.sent.put(value["update"]), memory

    assert "accepted" in broken_by(Lenient, "ranges")


def test_a_part_that_json_changes():
    class Lossy(Server):
        """Add the update to the model, with a step size that JSON rounds.

        step: model [P]. Raises nothing. Source: this test.
        """

        lr: float = Field(0.25, gt=0, le=1, description="step size")

        @field_serializer("lr")
        def _rounded(self, value):
            return round(value, 1)

        def step(self, world, state, value, memory):
            return state.model + self.lr * world.sent.put(value["update"]), memory

    assert "JSON" in broken_by(Lossy, "json")


def test_a_net_that_cannot_be_repeated_is_refused():
    class Dropping(Net):
        """A linear layer after dropout.

        build: rows [B, F] -> [B, K]. Raises nothing. Source: this test.
        """

        def build(self, inputs, outputs):
            return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(inputs.numel(), outputs))

    assert "random" in broken_by(Dropping, "untouched")


def test_a_class_outside_the_catalogue_or_without_defaults():
    class Outside(fl.Server):
        """Add the update to the model. [P] Raises nothing. Source: this test."""

        def step(self, world, state, value, memory):
            return state.model, memory

    class Needy(Outside):
        lr: float = Field(..., description="step size")

    with pytest.raises(ContractBroken, match="'defaults'.*@fl.part"):
        fl.check_part(Outside)
    with pytest.raises(ContractBroken, match="'defaults'.*Needy\\(\\) fails"):
        fl.check_part(fl.part(Needy))
    with pytest.raises(ContractBroken, match="no part"):
        fl.check_part(int)


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
