import numpy as np
import torch

from ..packing import packed
from ..part import part
from ..slots import VALUES, Encode
from ..types import Payload, payload_bytes


@part
class Nonzero(Encode):
    """Send the entries that are not 0 with their places, or all of them where that is shorter; nothing is lost.

    encode: rows [C, D] as they are. Of a row with n entries that are not 0 a client sends n places (int32) and n
    values, 8 n bytes in float32, if that is less than the 4 D bytes of all; the length says which. So bytes depend on
    the row, and the price known beforehand is the most. For rows of which little is used, as of seeded directions.
    Raises ValueError for a message of a wrong length or with places beyond the row. Source: coordinate format, textbook
    (-0 comes back as 0 where places are sent).
    """

    tag = "fewer entries"

    takes, certain = VALUES, False

    def wire(self, space, dtype):
        return {"values": (space.width, dtype)}

    def encode(self, rows, space, keys, mine):
        return {"values": rows + 0.0}, mine   # -0 becomes 0, whichever way it goes out

    def decode(self, arrays, space):
        return arrays["values"]

    def payload(self, arrays, space, dtype):
        used = (arrays["values"] != 0).sum(1).cpu()
        return Payload(arrays, (used * (4 + dtype.itemsize)).clamp(max=self.price(space, dtype)))

    def pack(self, payload, i):
        row = payload.tensors["values"][i]
        places = row.nonzero()[:, 0]
        pairs = {"places": places.to(torch.int32)[None], "values": row[places][None]}
        if len(places) * (4 + row.dtype.itemsize) < payload_bytes(len(row), row.dtype):
            return packed(pairs, 0)
        return packed(payload.tensors, i)

    def unpack(self, messages, space, dtype):
        rows = torch.zeros(len(messages), space.width, dtype=dtype)
        number, each = np.dtype(str(dtype).removeprefix("torch.")).newbyteorder("<"), 4 + dtype.itemsize
        most = self.price(space, dtype)
        for row, message in zip(rows, messages, strict=True):
            n, rest = divmod(len(message), each)
            if len(message) == most:
                row[:] = torch.from_numpy(np.frombuffer(message, number).astype(number.newbyteorder("=")))
                continue
            places = np.frombuffer(message, "<i4", n) if not rest and len(message) < most else np.array([-1])
            if len(places) and not (places.min() >= 0 and places.max() < space.width):
                raise ValueError(f"a message of {len(message)} bytes is neither {space.width} values nor pairs of a "
                                 f"place below {space.width} and a value")
            row[torch.from_numpy(places.astype(np.int64))] = torch.from_numpy(
                np.frombuffer(message, number, n, 4 * n).astype(number.newbyteorder("=")))
        return self.payload({"values": rows}, space, dtype)
