import math

import torch

from ..part import part
from ..slots import Evaluate


@part
class Accuracy(Evaluate):
    """How often the model is right, and its loss: on the test set, and on each client's held-out rows.

    read: `accuracy`, `loss` (nats a row) on the official test set; `mean_client` (over clients, each counting once),
    `worst_client`, `best_client` over the panel's clients with held-out rows. Personalised methods are read with each
    client's own model; of the slot personalise also how much each gains over the model of all, on its own held-out
    rows: `gain_mean`, `gain_worst`, `gain_best`, and `gain_share` of clients that gain. Raises nothing; NaN without
    rows. Source: textbook.
    """

    def read(self, tables):
        right = tables.counts.diagonal(dim1=-2, dim2=-1).sum((-1, -2)).double()
        rows = tables.counts.sum((1, 2, 3))
        each = (right / rows)[rows > 0]
        n = int(tables.test_counts.sum())
        figures = [float(f(each)) if len(each) else math.nan for f in (torch.mean, torch.min, torch.max)]
        gains = {}
        if tables.shared is not None:
            gained = ((right - tables.shared) / rows)[rows > 0]
            gains = {f"gain_{name}": float(f(gained)) if len(gained) else math.nan for name, f in (
                ("mean", torch.mean), ("worst", torch.min), ("best", torch.max), ("share", _above))}
        return {"accuracy": float(tables.test_counts.diagonal(dim1=-2, dim2=-1).sum()) / n if n else math.nan,
                "loss": tables.test_loss / n if n else math.nan,
                **dict(zip(("mean_client", "worst_client", "best_client"), figures, strict=True)),
                **gains}


def _above(gained):
    return (gained > 0).double().mean()
