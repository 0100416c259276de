"""What every part must keep, as checks that run on any part: from the catalogue or from a notebook cell.

A contract is one small function of a `Case` (the part in a tiny world) that raises `ContractBroken`, or `Skip` with the
reason why it has nothing to look at. Each says for which slots it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..part import Part
from . import declared, hooks, runs, terms  # noqa: F401  (they enter their contracts)
from .rules import CONTRACTS, Contract, ContractBroken, Skip
from .toy import PLACES, Case

# What is asked first, so that a broken part is told the nearest cause.
ORDER = ("defaults", "fields", "wording", "json", "ranges", "wire", "untouched", "repeat", "precision", "permuted",
         "pieces", "terms", "rounds", "stacked", "chunk", "resume", "bytes", "cohorts", "cuda", "cuda rounds")


@dataclass
class Report:
    """What `check_part` ran: contracts kept (name -> what it promises) and skipped (name -> reason)."""

    part: str
    kept: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        width = max(map(len, self.kept | self.skipped), default=0)
        lines = [f"{self.part} keeps {len(self.kept)} contracts"
                 + (f", {len(self.skipped)} had nothing to look at" if self.skipped else "")]
        lines += [f"  ✓ {name:{width}}  {promise}" for name, promise in self.kept.items()]
        lines += [f"  – {name:{width}}  {reason}" for name, reason in self.skipped.items()]
        return "\n".join(lines)

    __repr__ = __str__


def contracts_of(slot: str) -> dict[str, Contract]:
    """The contracts that parts of a slot must keep, by name, in the order they are run."""
    return {name: CONTRACTS[name] for name in ORDER if not CONTRACTS[name].slots or slot in CONTRACTS[name].slots}


def check_part(part: type[Part] | Part, only: str | None = None) -> Report:
    """Hold a part (a class, then with its default fields, or one with fields of your choice) to every contract.

    Takes about a second on a tiny world of 220 rows and ten clients, on the CPU and, where there is one, the first GPU.
    `only` names a single contract. Raises ContractBroken, an AssertionError, with one sentence: which contract, which
    part, what was seen. KeyError for a contract that the slot does not have.

    >>> import fedlab_widgets as fl
    >>> check_part(fl.Median, only="wording")
    Median keeps 1 contracts
      ✓ wording  The docstring says what it does, with shapes or units, what it raises, and its source.
    """
    subject = _subject(part)
    shelf = contracts_of(subject.slot)
    report, case = Report(f"{subject!r}"[:80].removesuffix("()")), Case(subject)
    for contract in ([shelf[only]] if only else shelf.values()):
        reason = contract(case)
        if reason is None:
            report.kept[contract.name] = contract.promise
        else:
            report.skipped[contract.name] = reason
    return report


def _subject(part: type[Part] | Part) -> Part:
    cls = part if isinstance(part, type) else type(part)
    if not issubclass(cls, Part) or getattr(cls, "slot", None) not in PLACES:
        raise ContractBroken("defaults", cls.__name__, f"it is no part: subclass one of the slots {', '.join(PLACES)}")
    if not isinstance(part, type):
        return part
    try:
        return cls()
    except Exception as error:
        raise ContractBroken("defaults", cls.__name__, f"{cls.__name__}() fails: {error}; give every field a default "
                                                       "and every abstract method a body") from error


__all__ = ["ContractBroken", "Report", "Skip", "check_part", "contracts_of"]
