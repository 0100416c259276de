"""Parts whose fields, docstring or class break a contract are refused through the contract they break."""

import pytest
from pydantic import Field, field_serializer, field_validator

import fedlab_widgets as fl
from fedlab_widgets.contracts import ContractBroken
from fedlab_widgets.slots import Server


def test_a_docstring_without_a_source(broken_by):
    class Anonymous(Server):
        """Add the update to the model.

        step: model [P]. Raises nothing.
        """

        def step(self, world, state, value, memory):
            return state.model + world.sent.put(value["update"]), memory

    assert "source" in broken_by(Anonymous, "wording")
    Anonymous.__doc__ = None
    assert broken_by(Anonymous, "wording")


def test_a_field_without_a_description(broken_by):
    class Mute(Server):
        """Add the update to the model.

        step: model [P]. Raises nothing. Source: this test.
        """

        lr: float = Field(1.0, gt=0, le=1)

        def step(self, world, state, value, memory):
            return state.model + self.lr * world.sent.put(value["update"]), memory

    assert "lr" in broken_by(Mute, "fields")


def test_a_field_that_takes_anything(broken_by):
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


def test_a_part_that_json_changes(broken_by):
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
