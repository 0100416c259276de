from ..part import BadInput, part
from ..slots import Partition


@part
class Natural(Partition):
    """Take the clients as the data name them: one client per value of the data set's client column.

    assign: rows -> client [rows]; N is the number of values. Raises BadInput when the data name no clients.
    Source: textbook; e.g. the natural splits of Caldas et al., LEAF, arXiv 1812.01097.
    """

    def count(self, data):
        if data.client is None:
            raise BadInput("partition = natural needs data that say which client holds each row, and these do not; "
                           "pass client= to from_arrays or from_file, or choose partition=iid, dirichlet or by_group")
        return int(data.client.max()) + 1

    def assign(self, data, key):
        return data.client
