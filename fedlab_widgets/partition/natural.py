from ..part import BadInput, part
from ..shards import Data
from ..slots import Partition


@part
class Natural(Partition):
    """Take the clients as the data name them: one client per value of the data set's client column.

    assign: rows -> client [rows]; N is the number of values. Raises BadInput when the data name no clients.
    Source: textbook; e.g. the natural splits of Caldas et al., LEAF, arXiv 1812.01097.
    """

    def count(self, data):
        if data.client is None:
            raise BadInput("partition = natural takes the clients that the data name, and these data name none; choose "
                           "another partition (iid, by group, dirichlet), or say which column names the client: \"who "
                           "holds a row\" under Your file…, client= in from_arrays and from_file")
        return int(data.client.max()) + 1

    def assign(self, data, key):
        return data.client


def client_names(partition: Partition, data: Data) -> tuple[str, ...]:
    """The names that the data give the clients of this partition; () where its clients are its own, or have none."""
    return data.client_names if isinstance(partition, Natural) else ()
