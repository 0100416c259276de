import torch
from pydantic import Field
from torch import Tensor

from ..part import BadInput, part
from ..shards import Data
from ..slots import Partition


@part
class Natural(Partition):
    """Take the clients as the data have them: one client per value of the client column, or of another column.

    assign: rows -> client [rows]; N is the number of values. With `column` the values of a column of words (of Adult
    for instance workclass, occupation or native-country); values that nobody has among the rows to learn from make no
    client. Raises BadInput when the data name no clients, and for a column of numbers or one that is not there.
    Source: textbook; e.g. the natural splits of Caldas et al., LEAF, arXiv 1812.01097.
    """

    tag = "as the data name them"

    column: str | None = Field(None, description="a column of words whose values are the clients; the data's if empty")

    def count(self, data):
        if self.column:
            return len(_values(data, self.column)[0])
        if data.client is None:
            raise BadInput("partition = natural takes the clients that the data name, and these data name none; choose "
                           "another partition (iid, by group, dirichlet), or say which column names the client: "
                           "partition.column for a column of words, \"who holds a row\" under Your file…, client= in "
                           "from_arrays and from_file")
        return int(data.client.max()) + 1

    def assign(self, data, key):
        return _values(data, self.column)[1] if self.column else data.client


def _values(data: Data, column: str) -> tuple[tuple[str, ...], Tensor]:
    """The values of a one-hot column that some row has, and which of them each row has [rows]."""
    at = [i for i, name in enumerate(data.features) if name.startswith(f"{column}=")]
    if not at:
        words = sorted({name.split("=")[0] for name in data.features if "=" in name})
        raise BadInput(f"partition.column = {column!r} is no column of words in these data; "
                       + (f"there are {', '.join(words)}" if words else "they have none: leave it empty"))
    marks = data.x[:, at].cpu()
    there = marks.sum(0).nonzero().flatten()
    names = tuple(data.features[at[i]].partition("=")[2] for i in there.tolist())
    return names, torch.searchsorted(there, marks.argmax(1)).to(torch.int64)


def client_names(partition: Partition, data: Data) -> tuple[str, ...]:
    """The names that the data give the clients of this partition; () where its clients are its own, or have none."""
    if not isinstance(partition, Natural):
        return ()
    return _values(data, partition.column)[0] if partition.column else data.client_names
