"""The contracts of `test_contracts.py` for the slots with most parts: in a file of its own, a core of its own."""

import pytest

import fedlab_widgets as fl
from fedlab_widgets.contracts import contracts_of

LONGEST = ("aggregate", "attack", "encode", "partition")
EVERY = [pytest.param(cls, contract, id=f"{slot}-{name}-{contract}") for slot in LONGEST
         for name, cls in fl.catalogue(slot).items() for contract in contracts_of(slot)]


@pytest.mark.parametrize("subject, contract", EVERY)
def test_every_part_keeps_every_contract(subject, contract):
    report = fl.check_part(subject, only=contract)
    if report.skipped:
        pytest.skip(report.skipped[contract])
    assert list(report.kept) == [contract]
