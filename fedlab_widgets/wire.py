"""What clients put on the wire: values by the codec of the slot encode, rankings and masks as they are.

A codec makes numbers shorter that may be rounded. A place in an order and a yes or no may not, and have one best
packing: ceil(log2 n) bits a place in an order of n, one bit an answer. So these blocks never reach the codec.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from .layout import Columns
from .slots import Encode
from .types import Block, Kind, Memory, Payload, Space

NATIVE = frozenset({Kind.BITS, Kind.RANKS})


def cut(space: Space, columns: Columns | None) -> Space:
    """The blocks of a row of which only these columns travel; tensors are named where they lie in them whole.

    >>> cut(Space((Block("update", 6, shapes=((2, 2), (2,))), Block("more", 1))), Columns(((4, 7),), 7)).blocks[0]
    Block(name='update', width=2, kind=<Kind.VALUES: 'values'>, shapes=((2,),))
    """
    if columns is None:
        return space
    found, at = [], 0
    for block in space.blocks:
        inside = [(max(a, at), min(b, at + block.width)) for a, b in columns.ranges]
        inside, ends = [(a, b) for a, b in inside if a < b], np.cumsum([at, *block.sizes])
        whole = [i for i, (a, b) in enumerate(pairwise(ends)) if any(x <= a and b <= y for x, y in inside)]
        width = sum(b - a for a, b in inside)
        known = block.shapes and sum(block.sizes[i] for i in whole) == width
        if width:
            found.append(replace(block, width=width, shapes=tuple(block.shapes[i] for i in whole) if known else ()))
        at += block.width
    return Space(tuple(found))


def coded(space: Space) -> Space:
    """The blocks that the codec is given."""
    return Space(tuple(b for b in space.blocks if b.kind not in NATIVE))


def native(space: Space) -> tuple[Block, ...]:
    return tuple(b for b in space.blocks if b.kind in NATIVE)


def bits(block: Block) -> list[tuple[int, int]]:
    """(columns, bits of each) of the tensors of a native block.

    >>> bits(Block("update", 24, Kind.RANKS, ((4, 5), (4,))))
    [(20, 5), (4, 2)]
    """
    if block.kind is Kind.BITS:
        return [(block.width, 1)]
    return [(n, (n - 1).bit_length()) for n in block.sizes]


def native_price(block: Block) -> int:
    """Bytes of a native block: its bits one after another, the last byte filled up.

    >>> native_price(Block("update", 24, Kind.RANKS, ((4, 5), (4,))))
    14
    """
    return -(-sum(n * each for n, each in bits(block)) // 8)


def price(encode: Encode, space: Space, dtype: torch.dtype) -> int:
    """Bytes that one client sends a round; exact."""
    values = coded(space)
    return (encode.price(values, dtype) if values.width else 0) + sum(map(native_price, native(space)))


def encoded(encode: Encode, rows: Tensor, space: Space, keys: Tensor, mine: Memory,
            columns: Columns | None = None) -> tuple[Payload, Memory]:
    """rows [C, D] as they go out, of which only some columns may travel, and what the clients' codec remembers."""
    if columns is not None:   # what a codec remembers of each column is cut alike, and put back
        wide = {name: own for name, own in mine.own.items() if own.shape[1:] == (space.width,)}
        few = replace(mine, own=mine.own | {name: columns.take(own) for name, own in wide.items()})
        payload, few = encoded(encode, columns.take(rows), cut(space, columns), keys, few)
        return payload, replace(few, own=few.own | {n: columns.put(few.own[n], into=own) for n, own in wide.items()})
    plain = native(space)
    if not space.width:   # everything stays at home
        return Payload({"nothing": rows}, torch.zeros(len(rows), dtype=torch.int64)), mine
    if not plain:
        arrays, mine = encode.encode(rows, space, keys, mine)
        return encode.payload(arrays, space, rows.dtype), mine
    values, pieces = coded(space), space.split(rows)
    payload = Payload({}, torch.zeros(len(rows), dtype=torch.int64))
    if values.width:
        joined = torch.cat([pieces[b.name] for b in values.blocks], dim=1)
        arrays, mine = encode.encode(joined, values, keys, mine)
        payload = encode.payload(arrays, values, rows.dtype)
    whole = {b.name: pieces[b.name].to(torch.uint8 if b.kind is Kind.BITS else torch.int32) for b in plain}
    return Payload(payload.tensors | {_key(name): t for name, t in whole.items()},
                   payload.bytes + sum(map(native_price, plain))), mine


def decoded(encode: Encode, tensors: dict[str, Tensor], space: Space, dtype: torch.dtype,
            columns: Columns | None = None) -> Tensor:
    """What was on the wire -> rows [C, D], with zeros where nothing travelled."""
    if columns is not None:
        return columns.put(decoded(encode, tensors, cut(space, columns), dtype))
    plain = native(space)
    if not space.width:
        return tensors["nothing"]
    if not plain:
        return encode.decode(tensors, space)
    values = coded(space)
    pieces = {b.name: tensors[_key(b.name)].to(dtype) for b in plain}
    if values.width:
        rest = encode.decode({k: t for k, t in tensors.items() if k not in set(map(_key, pieces))}, values)
        pieces |= values.split(rest)
    return torch.cat([pieces[b.name] for b in space.blocks], dim=1)


def packed(encode: Encode, payload: Payload, space: Space, i: int) -> bytes:
    """The bytes of client number i of a payload: the codec's, then each native block, bit by bit."""
    plain = native(space)
    if not space.width:
        return b""
    names = {_key(b.name) for b in plain}
    rest = Payload({k: t for k, t in payload.tensors.items() if k not in names}, payload.bytes)
    return b"".join([encode.pack(rest, i) if rest.tensors else b"",
                     *(_stream(b, payload.tensors[_key(b.name)][i].cpu().numpy()) for b in plain)])


def unpacked(encode: Encode, messages: list[bytes], space: Space, dtype: torch.dtype) -> Payload:
    """The inverse of `packed` for C clients. Raises ValueError when a length is wrong."""
    plain = native(space)
    if not plain:
        return encode.unpack(messages, space, dtype)
    tail, values = sum(map(native_price, plain)), coded(space)
    heads = [m[:len(m) - tail] for m in messages]
    if any(len(m) < tail for m in messages) or not values.width and any(heads):
        raise ValueError(f"a message of {min(map(len, messages))} bytes where {price(encode, space, dtype)} are due")
    payload = (encode.unpack(heads, values, dtype) if values.width
               else Payload({}, torch.zeros(len(messages), dtype=torch.int64)))
    ends = np.cumsum([0, *map(native_price, plain)])
    found = {_key(b.name): torch.stack([_codes(b, m[len(m) - tail:][a:z]) for m in messages])
             for b, (a, z) in zip(plain, pairwise(ends.tolist()), strict=True)}
    return Payload(payload.tensors | found, payload.bytes + tail)


def _key(name: str) -> str:
    return f"native {name}"


def _stream(block: Block, codes: np.ndarray) -> bytes:
    at, found = 0, []
    for n, each in bits(block):
        found.append((codes[at:at + n, None] >> np.arange(each) & 1).astype(np.uint8).ravel())
        at += n
    return np.packbits(np.concatenate(found), bitorder="little").tobytes()


def _codes(block: Block, raw: bytes) -> Tensor:
    stream, at, found = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little"), 0, []
    for n, each in bits(block):
        piece = stream[at:at + n * each].reshape(n, each).astype(np.int32)
        found.append(piece @ (1 << np.arange(each, dtype=np.int32)) if each else np.zeros(n, np.int32))
        at += n * each
    return torch.from_numpy(np.concatenate(found)).to(torch.uint8 if block.kind is Kind.BITS else torch.int32)
