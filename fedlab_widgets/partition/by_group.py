from pydantic import Field

from ..part import part
from ..slots import Partition
from .blocks import send_home


@part
class ByGroup(Partition):
    """Give each group of the sensitive attribute a home among the clients.

    The clients are cut into one run per group; a share `skew` of a group's rows goes to its own run, the rest to the
    others. skew = 1 / groups is no skew; 1 is complete separation.
    assign: rows -> client [rows]. Raises BadInput for fields out of range.
    Source: second split of the PID study (Hamman & Dutta, ICLR 2024), which has two clients; more clients are ours.
    """

    tag = "other groups"

    clients: int = Field(10, ge=1, le=1_000_000, description="number of clients")
    skew: float = Field(0.9, ge=0, le=1, description="share of each group's rows that its own clients hold")

    def count(self, data):
        return self.clients

    def assign(self, data, key):
        return send_home(data.group, max(len(data.groups), 1), self.clients, self.skew, key)
