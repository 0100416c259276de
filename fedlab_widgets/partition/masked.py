from pydantic import AliasChoices, Field

from ..part import BadInput, part
from ..slots import Partition
from .blocks import send_home


@part
class Masked(Partition):
    """Let opposite gaps cancel: half of the clients hold the rows with label = group, half those with label != group.

    Each half then sees the label and the group perfectly (anti)aligned, while the whole looks mild: local disparity
    far above global. lambda is the share of rows at home; 0.5 is no skew, 1 is complete.
    assign: rows -> client [rows]. Raises BadInput unless there are two labels and two groups.
    Source: third split of the PID study (Hamman & Dutta, ICLR 2024; its code swaps N (2 - 2 lambda) random pairs).
    """

    tag = "other groups"

    clients: int = Field(10, ge=2, le=1_000_000, description="number of clients")
    lam: float = Field(0.9, ge=0, le=1, validation_alias=AliasChoices("lam", "lambda"),
                       description="lambda: share of rows that are where label and group put them")

    def count(self, data):
        return self.clients

    def assign(self, data, key):
        if len(data.labels) != 2 or len(data.groups) != 2:
            raise BadInput(f"partition = masked needs two labels and two groups, and the data have {len(data.labels)} "
                           f"and {len(data.groups)}; choose partition=by_group or dirichlet")
        return send_home((data.y != data.group).long(), 2, self.clients, self.lam, key)
