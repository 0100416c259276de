"""Parts whose work breaks a contract are refused through the contract they break."""

from typing import ClassVar

import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets.contracts import ContractBroken
from fedlab_widgets.slots import Aggregate, Attack, Encode, Evaluate, Net, Privatise, Sampler, Server
from fedlab_widgets.types import Memory


def test_a_part_that_changes_its_input(broken_by):
    class InPlace(Attack):
        """Liars send the opposite, written over what they had.

        lie: rows [C, D]. Raises nothing. Source: this test.
        """

        def lie(self, rows, bad, keys, space=None):
            rows[bad] *= -1
            return rows

    assert "rows" in broken_by(InPlace, "untouched")


def test_a_part_that_changes_the_world(broken_by):
    class Eraser(Server):
        """Forget the first label after each round.

        step: model [P]. Raises nothing. Source: this test.
        """

        def step(self, world, state, value, memory):
            world.shards.y[0] = 1 - world.shards.y[0]
            return state.model + value["update"].mean(), memory

    assert ".y in place" in broken_by(Eraser, "untouched")


def test_a_part_that_draws_from_torch(broken_by):
    class Noisy(Attack):
        """Liars send noise.

        lie: rows [C, D]. Raises nothing. Source: this test.
        """

        def lie(self, rows, bad, keys, space=None):
            return torch.where(bad[:, None], torch.rand_like(rows), rows)

    assert "keys" in broken_by(Noisy, "repeat")


def test_a_codec_that_undercuts_its_price(broken_by):
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


def test_a_codec_that_loses_columns(broken_by):
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


def test_a_part_that_looks_at_its_neighbours_in_the_chunk(broken_by):
    class Centred(Privatise):
        """Divide each row by the number of rows in the chunk.

        client: rows [C, D]. Raises nothing. Source: this test.
        """

        central = False

        def client(self, rows, keys, ledger):
            return rows / len(rows)

        def ledger(self, sampling, clients, rounds):
            return None

    assert "together" in broken_by(Centred, "pieces")
    with pytest.raises(ContractBroken, match="'chunk'"):
        fl.check_part(Centred, only="chunk")
    with pytest.raises(ContractBroken, match="'stacked'"):
        fl.check_part(Centred, only="stacked")


def test_a_part_that_keeps_state_on_its_class(broken_by):
    class Lingering(Server):
        """Half of the last step is taken again.

        step: model [P]. Raises nothing. Source: this test.
        """

        last: ClassVar[list] = [0.0]

        def step(self, world, state, value, memory):
            self.last[0] = value["update"].mean() + self.last[0] / 2
            return state.model + world.sent.put(value["update"]) + self.last[0], memory

    assert "class" in broken_by(Lingering, "untouched")
    with pytest.raises(ContractBroken, match="'repeat'"):
        fl.check_part(Lingering, only="repeat")


def test_a_part_that_keeps_state_where_a_snapshot_does_not_reach(broken_by):
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


def test_a_part_that_breaks_in_float64(broken_by):
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


def test_an_aggregate_that_depends_on_the_order(broken_by):
    class First(Aggregate):
        """Believe the first client.

        finish: rows [C, D] -> [D]. Raises nothing. Source: this test.
        """

        def finish(self, total, weights, expected):
            return torch.cat(total)[0]

    assert "order" in broken_by(First, "permuted")


def test_an_aggregate_that_understates_its_sensitivity(broken_by):
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


def test_an_attack_that_touches_honest_rows(broken_by):
    class Careless(Attack):
        """Everybody sends the opposite.

        lie: rows [C, D]. Raises nothing. Source: this test.
        """

        def lie(self, rows, bad, keys, space=None):
            return -rows

    assert "honest" in broken_by(Careless, "terms")


def test_a_sampler_that_misstates_its_rate(broken_by):
    class Half(Sampler):
        """Ask every second client and say that all are asked.

        draw: positions [m]. Raises nothing. Source: this test.
        """

        def draw(self, eligible, round, key):
            return torch.arange(0, eligible, 2)

        def rate(self, eligible):
            return 1.0

        def sampling(self, eligible):
            return None

    assert "rate" in broken_by(Half, "terms")


def test_a_reading_that_fails_on_empty_tables(broken_by):
    class Share(Evaluate):
        """The share of rows in the first group.

        read: a share, 0 to 1. Raises nothing. Source: this test.
        """

        def read(self, tables):
            return {"share": int(tables.counts[:, 0].sum()) / int(tables.counts.sum())}

    assert "ZeroDivisionError" in broken_by(Share, "terms")


def test_a_net_that_cannot_be_repeated_is_refused(broken_by):
    class Dropping(Net):
        """A linear layer after dropout.

        build: rows [B, F] -> [B, K]. Raises nothing. Source: this test.
        """

        def build(self, inputs, outputs):
            return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(inputs.numel(), outputs))

    assert "random" in broken_by(Dropping, "untouched")
