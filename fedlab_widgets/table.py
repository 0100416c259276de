"""A row per client that only clients who took part have: what SCAFFOLD, error feedback and personal layers remember."""

from __future__ import annotations

from io import FileIO
from mmap import ACCESS_COPY, mmap
from tempfile import TemporaryFile, gettempdir
from threading import Lock

import torch
from torch import Tensor

from .part import DiskProblem
from .tensorfile import bytes_of

HELD = 256 * 2**20   # bytes of rows that a table holds in memory; beyond them its rows live in a file


class Table:
    """A row per client [N, D] that holds only the rows ever written; the others read as `fill` [D].

    Rows are written once a round, after its last reader, in place: copying [N, D] every round would cost O(N).
    Room: 4 bytes a registered client, and D elements a touched one: at most min(N, rounds x clients a round) rows. Up
    to HELD bytes they lie beside `fill`, on a GPU too. A table that needs more moves its rows, once, to a file in the
    system's temporary folder, and reads and writes the few of a round there: neither a copy to grow nor a map whose
    pages count as memory. The file goes with the table, or with the process, however that ends.

    >>> table = Table(clients=1_000_000, fill=torch.zeros(2))
    >>> table.scatter(torch.tensor([7]), torch.ones(1, 2))
    >>> table.gather(torch.tensor([7, 8])).tolist(), len(table.touched)
    ([[1.0, 1.0], [0.0, 0.0]], 1)
    """

    def __init__(self, clients: int, fill: Tensor):
        self.fill, self.width = fill, max(1, fill.numel() * fill.element_size())   # bytes of a row
        self.place = torch.full((clients,), -1, dtype=torch.int32)
        self.ids = torch.empty(0, dtype=torch.int64)
        # All that may ever be held: the system gives pages as they are written, so that nothing need grow.
        self._held: Tensor | None = fill.new_empty(min(clients, HELD // self.width), *fill.shape)
        self._file, self._lock = None, Lock()   # threads that train gather at the same time

    def gather(self, ids: Tensor) -> Tensor:
        """ids [C] -> [C, D], a copy."""
        place = self.place[ids].long()
        known = place >= 0
        if known.all() and len(ids):
            return self._read(place)
        out = self.fill.expand(len(ids), *self.fill.shape).clone()
        if known.any():
            out[known.to(out.device)] = self._read(place[known])
        return out

    def scatter(self, ids: Tensor, rows: Tensor) -> None:
        """Write rows [C, D] for distinct clients ids [C]. Raises DiskProblem where the file finds no room."""
        if not len(ids):
            return
        place = self.place[ids].long()
        new = place < 0
        place[new] = torch.arange(len(self.ids), len(self.ids) + int(new.sum()))
        self._write(place, rows)
        self.place[ids] = place.to(torch.int32)
        self.ids = torch.cat([self.ids, ids[new]])

    @property
    def touched(self) -> Tensor:
        """The rows written so far, in the order of `ids`: a view, of memory or of the file, that is not to be kept."""
        count = len(self.ids)
        if self._file is None:
            return self._held[:count]
        file = mmap(self._file.fileno(), count * self.width, access=ACCESS_COPY)
        return torch.frombuffer(file, dtype=self.fill.dtype).view(count, *self.fill.shape)

    def _read(self, place: Tensor) -> Tensor:
        if self._file is None:
            return self._held[place.to(self._held.device)]
        out = torch.empty(len(place), *self.fill.shape, dtype=self.fill.dtype)
        with self._lock:
            for at, row in zip(place.tolist(), out, strict=True):
                self._file.seek(at * self.width)
                self._file.readinto(bytes_of(row))
        return out.to(self.fill.device)

    def _write(self, place: Tensor, rows: Tensor) -> None:
        if self._file is None and int(place.max()) < len(self._held):
            self._held[place.to(self._held.device)] = rows
            return
        try:
            with self._lock:
                if self._file is None:
                    file = TemporaryFile(prefix="fedlab-", buffering=0)   # noqa: SIM115  (it lives as long as this)
                    _put(file, self.touched.cpu())
                    self._file, self._held = file, None
                for at, row in zip(place.tolist(), rows.cpu().contiguous(), strict=True):
                    self._file.seek(at * self.width)
                    _put(self._file, row)
        except OSError as error:
            raise DiskProblem.of(error, gettempdir(), "this run keeps rows of clients there, so make room or set the "
                                 "environment variable TMPDIR to a folder with more") from None


def _put(file: FileIO, rows: Tensor) -> None:
    data = bytes_of(rows)
    while len(data):   # one write takes 2 GB at most, and fewer when the disk is nearly full
        data = data[file.write(data):]
