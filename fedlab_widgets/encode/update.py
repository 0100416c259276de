from ..part import part
from ..slots import Encode


@part
class Update(Encode):
    """Send the row as it is.

    encode: rows [C, D] -> one array "values" [C, D] in the run's precision; 4 D bytes a client in float32. Lossless.
    Raises nothing of its own. Source: McMahan et al., AISTATS 2017.
    """

    tag = "everything"

    def wire(self, space, dtype):
        return {"values": (space.width, dtype)}

    def encode(self, rows, space, keys, mine):
        return {"values": rows}, mine

    def decode(self, arrays, space):
        return arrays["values"]
