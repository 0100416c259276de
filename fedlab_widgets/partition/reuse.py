from pydantic import Field, field_validator

from ..part import BadInput, part, slot
from ..slots import Partition
from .iid import IID


@part
class Reuse(Partition):
    """Let many registered clients share the rows of few: for runs with more clients than the data could tell apart.

    The inner partition deals the rows out to K holdings; client i has the holding of i mod K, and shuffles it in an
    order of its own. A row then belongs to about N / K clients, so what is said of one client (epsilon, its accuracy)
    is said of the client, not of people behind its rows.
    assign: rows -> holding [rows]. Raises BadInput for fewer clients than holdings, and for a reuse of a reuse.
    Source: as simulators register more clients than a data set names, e.g. the artificial federated datasets of
    pfl-research, Granqvist et al., arXiv 2404.06430.
    """

    tag = "very many"

    clients: int = Field(100, ge=1, le=1_000_000, description="number of clients")
    of: slot(Partition) = Field(IID(clients=10), description="how the rows are dealt out to the holdings they share")

    @field_validator("of")
    @classmethod
    def _once(cls, of):
        if isinstance(of, Reuse):
            raise ValueError("shares rows itself; give it a partition that deals every row to one client")
        return of

    def count(self, data):
        K = self.of.count(data)
        if self.clients < K:
            raise BadInput(f"partition.clients = {self.clients} would leave rows with nobody: partition.of = "
                           f"{self.of.name} makes {K} holdings of them; give at least {K} clients, or choose "
                           f"partition={self.of.name} alone")
        return self.clients

    def assign(self, data, key):
        return self.of.assign(data, key)

    def seen(self, data, owner, key):
        return self.of.seen(data, owner, key)

    def holdings(self, data):
        return self.of.count(data)
