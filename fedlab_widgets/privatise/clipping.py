"""What several mechanisms of privacy share: cutting rows to a length, and what is said before a run."""

from torch import Tensor

OUTSIDE = ("the losses, accuracies and per-client figures that the lab records are read without noise: epsilon does "
           "not cover them")


def cut(rows: Tensor, length: float | Tensor, norm: int = 2) -> Tensor:
    """rows [C, D] -> row * min(1, length / |row|), in the norm of that order."""
    return rows * (length / rows.norm(norm, dim=1, keepdim=True).clamp(min=1e-30)).clamp(max=1)


def central_notes(ledger, clients: int, width: int, expected: float, draw: float = 1.0):
    """What a reader should know of noise on the sum of rows [width], `expected` of which come a round; its deviation is
    `draw` noise multipliers."""
    if ledger.delta >= 1 / clients:
        yield (f"privatise.delta = {ledger.delta:.3g} is not below 1 / {clients} clients: a mechanism that "
               f"publishes one client's data whole could meet it; choose a delta below {1 / clients:.2g}")
    if ledger.noise_multiplier == 0:
        yield "privatise.noise_multiplier = 0 adds no noise: there is no privacy, and epsilon is infinite"
    length = draw * ledger.noise_multiplier * width**0.5 / max(expected, 1e-9)
    if length > 1:
        yield (f"the noise on the averaged update is about {length:.2g} times as long as the longest update "
               f"allowed, with {expected:.3g} clients expected a round: it may drown a single round; over many "
               "rounds what clients learn adds up and the noise partly cancels, and more clients a round help")
    yield OUTSIDE
