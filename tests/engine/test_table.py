"""Rows that clients remember: in memory, or in a file once they are many; the same rows either way."""

import gc
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
import torch

import fedlab_widgets as fl
from fedlab_widgets import session, table
from fedlab_widgets.table import Table


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A temporary folder of one's own."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("held", [0, 200, 10**9], ids=["at once in a file", "soon in a file", "in memory"])
def test_rows_are_what_was_written_last(monkeypatch, here, held, dtype):
    monkeypatch.setattr(table, "HELD", held)
    draw = torch.Generator().manual_seed(0)
    fill = torch.tensor([1.0, 2.0, 3.0], dtype=dtype)
    remembered, plain = Table(50, fill), fill.repeat(50, 1)   # 12 or 24 bytes a row: 200 hold 16 or 8 rows
    for _ in range(30):
        ids = torch.randperm(50, generator=draw)[:4].sort().values
        assert torch.equal(remembered.gather(ids), plain[ids])
        rows = torch.randn(4, 3, generator=draw, dtype=dtype)
        remembered.scatter(ids, rows)
        plain[ids] = rows
    assert torch.equal(remembered.touched, plain[remembered.ids])
    assert len(remembered.ids) == len(set(remembered.ids.tolist())) > 16
    everyone = remembered.gather(torch.arange(50))
    assert torch.equal(everyone, plain)
    everyone += 1
    assert torch.equal(remembered.gather(torch.arange(50)), plain), "what was gathered is a copy"
    assert remembered.gather(torch.arange(0)).shape == (0, 3)
    remembered.scatter(torch.arange(0), fill[None][:0])


def test_the_file_is_gone_with_the_table(monkeypatch, here):
    monkeypatch.setattr(table, "HELD", 0)
    remembered = Table(10, torch.zeros(1000))
    before = psutil.Process().num_fds() if sys.platform != "win32" else 0
    remembered.scatter(torch.arange(10), torch.ones(10, 1000))
    if sys.platform != "win32":
        assert psutil.Process().num_fds() == before + 1
    del remembered
    gc.collect()
    assert not list(here.iterdir())
    if sys.platform != "win32":
        assert psutil.Process().num_fds() == before


def test_threads_that_train_gather_at_the_same_time(monkeypatch, here):
    monkeypatch.setattr(table, "HELD", 0)
    remembered, rows = Table(64, torch.zeros(5000)), torch.arange(64.0)[:, None].expand(64, 5000)
    remembered.scatter(torch.arange(64), rows)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: torch.equal(remembered.gather(torch.arange(k, 64)), rows[k:]), range(60)))
    assert all(found)


# About one row of the six_rounds net fits the first, none the second: c [D] is 64 x 16 + 16 + 16 x 10 + 10 = 1 210
# numbers, 4 840 bytes.
@pytest.mark.parametrize("held", [5000, 0])
def test_a_run_with_rows_in_a_file_is_the_same_and_resumes(six_rounds, whole, facts, same_bits, stopped, here, tmp_path,
                                                          monkeypatch, held):
    monkeypatch.setattr(table, "HELD", held)
    run = fl.run(six_rounds, out=tmp_path / "filed", progress=False)
    assert facts(run.path) == facts(whole.path) and same_bits(run.path, whole.path)
    half = stopped(six_rounds, tmp_path / "half", 3)
    session.resume(half, progress=False)
    assert facts(half) == facts(whole.path) and same_bits(half, whole.path)


MEMORY = """
import torch
from fedlab_widgets.table import HELD, Table
from fedlab_widgets.tensorfile import pieces

def now(kind):
    return int(next(line for line in open("/proc/self/status") if line.startswith(kind)).split()[1]) * 1024

width = 2_000_000   # 8 MB a row: 100 rows are 800 MB
table, rows = Table(1_000_000, torch.zeros(width)), torch.ones(4, width)
rows @ rows.T       # whatever a first product sets up
before = now("VmRSS")
for k in range(25):
    table.scatter(torch.arange(4 * k, 4 * k + 4), rows + k)
    table.gather(torch.arange(2 * k, 2 * k + 4))
grown, own = now("VmHWM") - before, now("RssAnon")
with open("/dev/null", "wb") as file:
    for piece in pieces({"rows": table.touched}, {}):
        file.write(piece)
print(HELD, grown, now("RssAnon") - own, float(table.gather(torch.tensor([99]))[0, 0]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")
def test_memory_is_bounded_and_a_snapshot_does_not_double_it(python):
    held, grown, more, last = map(float, python(MEMORY).split())
    assert held == 256 * 2**20 and last == 25.0
    assert grown < held + 150 * 2**20, "of 800 MB of rows 268 are held; rows at hand are 32 MB each time"
    assert more < 20 * 2**20
