"""The board without a browser: what it sends, how much, and what it keeps."""

import json
import re
import struct
import threading

import numpy as np
import pytest

pytest.importorskip("anywidget", reason="the lab's widgets are not installed")
import fedlab_widgets as fl  # noqa: E402
from fedlab_widgets.widgets import board as boards  # noqa: E402
from fedlab_widgets.widgets.board import COLUMNS, FIELDS, STATIC, Board, module, style  # noqa: E402
from fedlab_widgets.widgets.live import compared  # noqa: E402

WIRE = 600          # bytes of headers and ids around a comm message: 849 - 263, measured with jupyter_client's Session


class Page:
    """Stands where the front end would: gathers what is sent."""

    def __init__(self, board):
        self.sent = []
        board.send = lambda content, buffers=None: self.sent.append((json.loads(json.dumps(content)), buffers))

    def sizes(self):
        return [len(json.dumps(c)) + sum(map(len, b)) for c, b in self.sent]

    def rows(self, k=-1, lines=None):
        content, buffers = self.sent[k]
        lines = content["run"]["lines"] if lines is None else lines
        return np.frombuffer(buffers[0], np.float32).reshape(-1, len(COLUMNS) + lines)


def clients(n):
    return [{"client": i, "train": 400, "held_out": 100 + i, "groups": [60, 40 + i], "labels": [50, 50 + i]}
            for i in range(n)]


def begun(n=10, **other):
    board = Board()
    page = Page(board)
    start = {"title": "a run", "clients": clients(n), "rounds": 200, "majority": 0.75, "labels": ["no", "yes"],
             "groups": ["women", "men"], "private": False} | other
    board.begin(**start)
    return board, page, start


def row(r, n=10, **other):
    return {"round": r, "accuracy": 0.5 + r / 1000, "client_accuracy": [0.4 + i / 100 for i in range(n)],
            "bytes_up": 1000, "bytes_down": 2000, "seconds": 0.1,
            "redundant": 0.01, "unique": 0.02, "masked": 0.003} | other


def test_200_rounds_are_small_numbered_messages():
    board, page, _ = begun()
    for r in range(1, 201):
        board.add(row(r))
        board.say("running", f"Round {r} of 200", r / 200, (200 - r) / 10)
        assert board.flush()
        assert not board.flush(), "nothing new, yet something was sent"
    assert len(page.sent) == 200
    assert [c["seq"] for c, _ in page.sent] == list(range(1, 201))
    assert [c["op"] for c, _ in page.sent] == ["full"] + ["rows"] * 199
    print(f"bytes of a message with one row: {max(page.sizes()[1:])}")
    assert max(page.sizes()[1:]) + WIRE < 1000


def test_rows_between_flushes_travel_together():
    board, page, _ = begun()
    board.flush()
    for r in range(1, 8):
        board.add(row(r))
    board.flush()
    assert len(page.sent) == 2 and page.sent[1][0]["n"] == 7
    assert "say" not in page.sent[1][0]
    assert page.rows(lines=10)[:, 0].tolist() == list(range(1, 8))


def test_a_sync_request_answers_with_everything():
    board, page, _ = begun()
    for r in range(1, 51):
        board.add(row(r))
        board.flush()
    board.add(row(51))
    board._handle_custom_msg({"op": "sync"}, [])
    content = page.sent[-1][0]
    assert content["op"] == "full" and content["seq"] == 50 and content["n"] == 51
    assert page.rows()[:, 0].tolist() == list(range(1, 52))
    assert content["run"]["clients"][7] == ["client 7", 107, [60, 47]]
    board.flush()
    assert page.sent[-1][0]["seq"] == 51 and page.sent[-1][0]["op"] == "rows"
    board._handle_custom_msg({"op": "nonsense"}, [])
    board._handle_custom_msg("nonsense", [])
    assert page.sent[-1][0]["seq"] == 51


def test_a_late_band_amends_its_round():
    board, page, _ = begun()
    board.add(row(1))
    board.add(row(2))
    board.flush()
    board.add({"round": 1, "unique_lo": 0.0, "unique_hi": 0.5, "accuracy": None})
    board.flush()
    sent = page.rows(lines=10)
    assert len(sent) == 1
    assert sent[0, COLUMNS.index("unique_hi")] == 0.5
    assert sent[0, 1] == np.float32(0.501), "a late reading took an earlier one away"
    assert board.table()[0]["unique_hi"] == 0.5 and len(board.table()) == 2


def test_missing_is_nan_and_the_worst_client_is_found():
    board, page, _ = begun(3)
    board.add({"round": 1, "client_accuracy": [0.9, None, 0.2], "epsilon": None})
    board.add({"round": 2, "client_accuracy": [float("nan")] * 3})
    board.add({"round": 3})
    board.flush()
    rows = page.rows()
    assert rows[0, len(FIELDS)] == 2 and np.isnan(rows[1:, len(FIELDS)]).all()
    assert np.isnan(rows[0, COLUMNS.index("epsilon")]) and np.isnan(rows[0, len(COLUMNS) + 1])
    table = board.table()
    assert set(table[0]) == {*FIELDS, "client_accuracy"}
    assert np.isnan(table[2]["accuracy"]) and np.isnan(table[2]["client_accuracy"]).all()
    assert len(table[2]["client_accuracy"]) == 3


def test_the_run_before_is_the_ghost_and_reset_forgets():
    board, page, start = begun()
    for r in range(1, 6):
        board.add(row(r))
    board.flush()
    board.begin(**start | {"title": "another"})
    board.flush()
    content, buffers = page.sent[-1]
    assert content["op"] == "full" and content["n"] == 0 and content["ghosts"] == 5
    assert content["ghost"]["title"] == "a run" and content["run"]["number"] == 2
    ghost = np.frombuffer(buffers[1], np.float32).reshape(5, len(COLUMNS))
    assert ghost[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert board.table() == []
    board.begin(**start)          # begun twice without a row: the ghost stays
    board.flush()
    assert page.sent[-1][0]["ghosts"] == 5
    board.reset()
    board.flush()
    assert page.sent[-1][0]["ghost"] is None and page.sent[-1][0]["run"]["title"] == ""


def test_a_run_says_what_data_it_is_of_and_how_it_differs():
    board, page, start = begun(about="adult", made="first")
    assert board.before() is None
    board.add(row(1))
    assert board.before() == "first"
    board.begin(**start | {"about": "digits", "says": "aggregator median instead of mean", "was": "mean",
                           "made": "second"})
    assert board.before() == "first"              # a run without a row is no ghost
    board.flush()
    content = page.sent[-1][0]
    assert content["ghost"]["about"] == "adult" and "made" not in content["run"]
    assert [content["run"][key] for key in ("about", "says", "was")] == [
        "digits", "aggregator median instead of mean", "mean"]
    board.reset()
    assert board.before() is None


def test_experiments_are_compared_on_the_same_data_only():
    one = fl.Experiment()
    says, was = compared(one, one.changed(aggregate="median", rounds=20, seed=3, precision="float64", name="another"))
    assert says == ("aggregator median instead of mean; rounds 20 instead of 30; seed 3 instead of 0; …")
    assert was == "mean; rounds 30; seed 0; …"
    assert compared(one, one.changed(task=fl.Digits(), partition=fl.IID())) == ("", "") == compared(None, one)
    assert compared(one, one.changed(**{"task.withhold": False}))[0], "what withholding costs is worth comparing"


def test_many_clients_send_no_line_each():
    board, page, _ = begun(1000)
    board.add(row(1, 1000))
    board.flush()
    board.add(row(2, 1000, client_accuracy=[0.5] * 999 + [0.1]))
    board.flush()
    assert page.sizes()[-1] < 400
    assert page.rows(lines=0)[0, len(FIELDS)] == 999
    assert len(board.table()[1]["client_accuracy"]) == 1000


def test_json_stays_json():
    board, page, _ = begun(0, majority=float("nan"))
    board.say("running", "so", float("nan"), float("inf"))
    board.flush()
    text = json.dumps(page.sent[-1][0], allow_nan=False)
    assert json.loads(text)["run"]["majority"] is None
    assert page.sent[-1][0]["say"] == {"state": "running", "text": "so", "done": 0.0, "left": None}


@pytest.mark.parametrize("rounds, n", [(30, 8), (10_000, 30), (3_000, 1000)])
def test_the_snapshot_is_small_and_true(rounds, n):
    board, _, start = begun(n, rounds=rounds)
    for _ in range(2):
        for r in range(1, rounds + 1):
            board.add(row(r, n))
        board.say("running", "", 0.5, 1.0)
        board.flush()
        board.say("done", "finished", 1.0, 0.0)
        board.flush()
        if _ == 0:
            board.begin(**start)
    assert len(board.snapshot) < 100_000
    size = struct.unpack("<I", board.snapshot[:4])[0]
    head = json.loads(board.snapshot[4:4 + size])
    width = len(COLUMNS) + head["run"]["lines"]
    rows = np.frombuffer(board.snapshot, np.float32, head["n"] * width, 4 + size).reshape(-1, width)
    assert rows[-1, 0] == rounds and head["say"]["state"] == "done"
    assert rows[:, COLUMNS.index("bytes_up")].sum() == pytest.approx(1000 * rounds)
    assert len(board.snapshot) == 4 + size + rows.nbytes + 4 * len(COLUMNS) * head["ghosts"]


def test_the_snapshot_is_renewed_seldom_while_running(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(boards.time, "monotonic", lambda: now[0])
    board, _, _ = begun()
    saved = []
    board.observe(lambda change: saved.append(now[0]), "snapshot")
    for r in range(1, 201):
        now[0] = 100 + r / 10
        board.add(row(r))
        board.say("running", "", r / 200, 1.0)
        board.flush()
    assert 4 <= len(saved) <= 5
    board.say("done", "", 1.0, 0.0)
    board.flush()
    assert saved[-1] == now[0]


def test_threads_lose_nothing():
    board, page, _ = begun(4)
    board.flush()
    done = threading.Event()

    def flusher():
        while not done.is_set():
            board.flush()

    def adder(first):
        for r in range(first, 800, 4):
            board.add(row(r, 4))
            board.say("running", str(r), r / 800, None)
            if r % 50 == 0:
                board._handle_custom_msg({"op": "sync"}, [])

    flush = threading.Thread(target=flusher)
    adders = [threading.Thread(target=adder, args=(k,)) for k in range(4)]
    for thread in [flush, *adders]:
        thread.start()
    for thread in adders:
        thread.join()
    done.set()
    flush.join()
    board.flush()
    seen, seq = set(), 0
    for k, (content, _) in enumerate(page.sent):
        if content["op"] == "rows":
            assert content["seq"] == seq + 1
        seq = content["seq"]
        seen |= set(page.rows(k, 4)[:, 0].tolist())
    assert seen == set(range(800)) and len(board.table()) == 800


def test_a_lost_page_does_not_end_a_run():
    board, _, _ = begun()

    def gone(*_):
        raise RuntimeError("comm is closed")
    board.send = gone
    board.add(row(1))
    assert board.flush() and isinstance(board.trouble, RuntimeError)
    assert Board().flush() in (True, False)


def test_the_page_half_is_small_alone_and_licensed():
    code, look = module(), style()
    print(f"bytes of JavaScript {len(code.encode())}, of CSS {len(look.encode())}")
    assert len(code.encode()) <= 120_000 and len(look.encode()) <= 12_000
    loads = r"\bfetch\(|XMLHttpRequest|WebSocket|importScripts|\bimport\s*[({\"']|EventSource|sendBeacon"
    assert not re.search(loads, code)
    urls = re.findall(r"https?://[^\s\"')]+", code + look)
    assert urls == ["https://github.com/leeoniya/uPlot"], "only uPlot's own comment may name an address"
    assert "MIT License" in (STATIC / "uplot" / "LICENSE").read_text()
    assert "v1.6.32" in code[:200]
