"""Parts that a test defines: they are put through the contracts, and are gone after it."""

import pytest

import fedlab_widgets as fl
from fedlab_widgets.contracts import ContractBroken
from fedlab_widgets.part import _CATALOGUE


@pytest.fixture(autouse=True)
def catalogue_stays_as_it_was():
    before = {slot: dict(shelf) for slot, shelf in _CATALOGUE.items()}
    yield
    _CATALOGUE.clear()
    _CATALOGUE.update(before)


@pytest.fixture
def broken_by():
    """broken_by(cls, contract) -> what check_part saw; it names this contract and this part, in a sentence."""

    def check(cls, contract):
        with pytest.raises(ContractBroken) as refusal:
            fl.check_part(fl.part(cls))
        assert refusal.value.contract == contract, str(refusal.value)
        assert refusal.value.part == cls.__name__ in str(refusal.value)
        return refusal.value.seen

    return check
