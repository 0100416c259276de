"""The board in a real JupyterLab and a real chromium: growth, gaps, themes, keys, width. FEDLAB_SHOTS=folder keeps
pictures for people; tests look at data attributes."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

CHROMIUM = os.environ.get("FEDLAB_CHROMIUM", "/usr/bin/chromium")
ROOT = Path(__file__).parents[2]
for needed in ("playwright", "jupyterlab", "anywidget"):
    pytest.importorskip(needed, reason=f"{needed} is not installed")
pytestmark = [pytest.mark.browser,
              pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no browser at {CHROMIUM}")]

CELL = '''
import sys; sys.path.insert(0, {root!r})
import math, threading, time
from fedlab_widgets.widgets.board import Board
board = Board()
CLIENTS = [dict(client=i, held_out=827 - 90 * i, groups=[500 - 70 * i, 327 - 20 * i], liar=False) for i in range(8)]

def begin(title, rounds=30, groups=("Male", "Female"), clients=CLIENTS, private=False, **more):
    board.begin(title, clients, rounds, 0.759, ["<=50K", ">50K"], list(groups), private, **more)

def row(r, up=0.0, groups=True, private=False, clients=8):
    each = [0.80 + up + 0.05 * (1 - math.exp(-r / 6)) - 0.012 * i + 0.006 * math.sin(r * (i + 2))
            for i in range(clients)]
    out = dict(round=r, accuracy=0.70 + up + 0.15 * (1 - math.exp(-r / 5)), client_accuracy=each,
               loss=0.6 * math.exp(-r / 20), mean_client=sum(each) / len(each),
               worst_client=min(each), best_client=max(each), bytes_up=410_000,
               bytes_down=410_000 + 90_000 * (r % 3), seconds=0.21 + 0.05 * (r % 2))
    if groups:
        grow = 1 - math.exp(-r / 4)
        out |= dict(redundant=0.0021 * grow, unique=0.0082 * grow, masked=0.0011 * grow)
        out |= dict(global_disparity=out["redundant"] + out["unique"], local_disparity=out["unique"] + out["masked"])
        if r % 10 == 0:
            out |= {{f"{{a}}_{{e}}": v for a, hi in (("redundant", 0.0008), ("unique", 0.0006), ("masked", 0.0014))
                     for e, v in (("lo", 0.0), ("hi", hi))}}
    return out | (dict(epsilon=0.11 * r ** 0.6) if private else {{}})

def grow(first, last, pause=0.0, rounds=30, **how):
    for r in range(first, last + 1):
        board.add(row(r, **how))
        board.say("running", f"Round {{r}} of {{rounds}}: clients are learning", r / rounds, 0.25 * (rounds - r))
        board.flush()
        time.sleep(pause)

def end(text="Finished: 30 rounds."):
    board.say("done", text, 1.0, 0.0); board.flush()
board
'''


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _notebook(path: Path) -> None:
    cells = [{"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": [],
              "source": CELL.format(root=str(ROOT))}]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Address of a throw-away JupyterLab; no token, no news, no update check."""
    home = tmp_path_factory.mktemp("lab")
    _notebook(home / "board.ipynb")
    settings = home / "settings"
    settings.mkdir()
    (settings / "overrides.json").write_text(json.dumps({
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}))
    port = _free_port()
    env = os.environ | {"JUPYTER_CONFIG_DIR": str(home / "c"), "JUPYTER_DATA_DIR": str(home / "d"),
                        "IPYTHONDIR": str(home / "i"), "JUPYTER_RUNTIME_DIR": str(home / "r")}
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
         "--IdentityProvider.token=", "--ServerApp.port_retries=0", "--ServerApp.disable_check_xsrf=True",
         "--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={home}",
         f"--LabApp.app_settings_dir={settings}"],
        env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(base + "/api/status", timeout=1).read()
                break
            except OSError:
                time.sleep(0.25)
        else:
            pytest.fail("JupyterLab did not start in 30 s")
        yield base
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, headless=True,
                                       args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield browser
        browser.close()


class Opened:
    """A page on the notebook; nothing but this server can be reached, and no script may fail."""

    def __init__(self, lab, chromium):
        self.lab, self.outside, self.broken = lab, [], []
        self.page = page = chromium.new_page(viewport={"width": 1500, "height": 1400})
        own = (lab, "data:", "blob:", lab.replace("http", "ws"))
        page.on("request", lambda r: None if r.url.startswith(own) else self.outside.append(r.url))
        page.on("pageerror", lambda e: self.broken.append(str(e)))
        page.goto(lab + "/lab/tree/board.ipynb?reset")
        page.wait_for_selector(".jp-NotebookPanel", timeout=120_000)
        page.wait_for_function("""() => {
            const c = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
            return c && c.status === 'idle' && c.connectionStatus === 'connected'; }""", timeout=120_000)
        page.evaluate("window.jupyterapp.commands.execute('application:set-mode', {mode: 'single-document'})")
        page.evaluate("() => window.jupyterapp.shell.collapseLeft()")

    def fresh(self):
        """The page with its cell run anew: an empty board."""
        page = self.page
        page.set_viewport_size({"width": 1500, "height": 1400})
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_function("() => { const all = document.querySelectorAll('.flb'); "
                               "return all.length === 1 && all[0].dataset.n === '0' && +all[0].dataset.seq >= 0; }",
                               timeout=90_000)
        return page

    def check(self):
        assert self.broken == [], "errors in the page"
        assert self.outside == [], "the page asked for something outside"

    def close(self):
        for session in json.load(urllib.request.urlopen(self.lab + "/api/sessions")):
            urllib.request.urlopen(urllib.request.Request(f"{self.lab}/api/sessions/{session['id']}", method="DELETE"))
        self.page.close()


@pytest.fixture(scope="module")
def shared(lab, chromium):
    """One page and one kernel for all tests that leave the notebook as it was: to open one takes ten seconds."""
    opened = Opened(lab, chromium)
    yield opened
    opened.close()


@pytest.fixture
def page(shared):
    yield shared.fresh()
    shared.check()


@pytest.fixture
def own_page(lab, chromium):
    opened = Opened(lab, chromium)
    yield opened.fresh()
    opened.check()
    opened.close()


def kernel(page, code: str) -> str:
    """Run code in the notebook's kernel, as another cell would; what it printed. Raises what it raised."""
    return page.evaluate("""async code => {
        const k = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
        const f = k.requestExecute({code, store_history: false}); let out = '';
        f.onIOPub = m => { if (m.header.msg_type === 'stream') out += m.content.text;
                           if (m.header.msg_type === 'error') out += m.content.traceback.join('\\n'); };
        const r = await f.done; if (r.content.status !== 'ok') throw new Error(out); return out; }""", code)


def data(page) -> dict:
    return page.evaluate("() => ({...document.querySelector('.flb').dataset})")


def until(page, **wanted) -> None:
    page.wait_for_function("w => { const d = document.querySelector('.flb').dataset; "
                           "return Object.entries(w).every(([k, v]) => d[k] === String(v)); }", arg=wanted,
                           timeout=120_000)


def theme(page, name: str) -> None:
    page.evaluate("t => window.jupyterapp.commands.execute('apputils:change-theme', {theme: t})", name)


def shoot(page, name: str) -> None:
    folder = os.environ.get("FEDLAB_SHOTS")
    if folder:
        page.wait_for_timeout(700)
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.locator(".flb").first.screenshot(path=f"{folder}/{name}.png")


def button(page, name):
    return page.locator(".flb").first.get_by_role("button", name=re.compile(name))


def show_again(page) -> None:
    """A second cell shows the same board."""
    page.evaluate("""async () => { const run = (c, a) => window.jupyterapp.commands.execute(c, a);
        await run('notebook:insert-cell-below');
        window.jupyterapp.shell.currentWidget.content.activeCell.model.sharedModel.setSource('board');
        await run('notebook:run-cell'); }""")


def test_grows_then_the_next_run_has_a_ghost(page):
    shoot(page, "0_empty")
    kernel(page, "begin('Adult, 8 clients, FedAvg'); grow(1, 12, pause=0.05)")
    until(page, n=12, state="running", gaps=0)
    shoot(page, "1_running_light")
    kernel(page, "grow(13, 30); end()")
    until(page, n=30, state="done", gaps=0, ghost=0)
    kernel(page, "begin('Adult, 8 clients, FedAvg, private', private=True); grow(1, 20, up=0.012, private=True)")
    until(page, n=20, ghost=30, gaps=0)
    page.locator("[data-card=accuracy] .flb-diff", has_text="+1.2 points").wait_for()
    assert "+1.2 points against the run before" in page.locator("[data-card=accuracy]").inner_text()
    assert page.locator("[data-card=epsilon]").is_visible()
    for plot in page.locator(".flb-plot").all():
        assert "run before" in plot.locator(".flb-legend").inner_text()
    why = button(page, "^what is Disparity, in bits.$")
    why.click()
    assert why.get_attribute("aria-expanded") == "true"
    text = page.locator("[data-plot=disparity] .flb-help").inner_text()
    assert all(f"{term}." in text for term in ("Global disparity", "Local disparity", "Redundant", "Unique", "Masked"))
    shoot(page, "2_ghost_light")
    why.click()
    assert not page.locator("[data-plot=disparity] .flb-help").is_visible()


def test_only_runs_on_the_same_data_are_compared(page):
    adult, digits = '{"part":"adult","sensitive":"sex"}', '{"part":"digits"}'
    kernel(page, f"begin('A liar among us', about={adult!r}); grow(1, 30); end();"
                 f"begin('Again', about={adult!r}, says='aggregator median instead of mean', was='mean');"
                 "grow(1, 20, up=0.01); end()")
    until(page, n=20, ghost=30)
    assert page.locator("[data-against]").inner_text() == "Against the run before: aggregator median instead of mean."
    for plot in page.locator(".flb-plot").all():
        assert "A liar among us (mean)" in plot.locator(".flb-legend").inner_text()
    shoot(page, "7_named_ghost")
    kernel(page, f"begin('Digits', about={digits!r}, says='nothing to say'); grow(1, 5, up=-0.3); end()")
    until(page, n=5, ghost=0)
    said = page.locator("[data-against]").inner_text()
    assert said == "The run before used other data (adult, sex), so it is not drawn."
    text = page.locator(".flb").inner_text()
    assert "against the run before" not in text and "Run before" not in text and text.count("run before") == 1
    # 0.70 - 0.3 + 0.15 (1 - 1/e) = 0.4948, and always guessing has 0.759: 26.4 points less
    assert "26.4 points under always guessing (75.9\u00a0%)" in page.locator("[data-card=accuracy]").inner_text()


def test_amounts_add_up_as_they_are_shown(page):
    kernel(page, "begin('Small'); board.add(dict(round=1, bytes_up=123_400, bytes_down=123_400, accuracy=0.7)); end()")
    until(page, n=1)
    # 123.4 kB twice are 246.8 kB; three digits would say 123 + 123 = 247
    card = page.locator("[data-card=sent]").inner_text().replace("\u00a0", " ")
    assert "246 kB" in card and "123 kB up, 123 kB down" in card
    assert page.locator("[data-plot=convergence] .flb-note").inner_text().count(",") == 0
    kernel(page, "board.add(dict(round=2, bytes_up=10_000, bytes_down=20_000_000)); board.flush()")
    until(page, n=2)                               # 0.1334 MB up and 20.1234 MB down
    card = page.locator("[data-card=sent]").inner_text().replace("\u00a0", " ")
    assert "20.25 MB" in card and "0.13 MB up, 20.12 MB down" in card


def test_dark_live_axis_hover_and_table(page):
    kernel(page, "begin('Adult, 8 clients'); grow(1, 30); end(); begin('Adult, again', private=True); "
                 "grow(1, 30, up=-0.01, private=True); end()")
    until(page, n=30, ghost=30)
    theme(page, "JupyterLab Dark")
    until(page, theme="dark")
    shoot(page, "3_dark")
    page.get_by_role("radio", name="rounds").focus()
    page.keyboard.press("ArrowRight")                          # native radios: arrows choose
    assert page.get_by_role("radio", name="MB").is_checked()
    plot = page.get_by_role("group", name=re.compile("Convergence. Left"))
    plot.focus()
    page.keyboard.press("ArrowLeft")
    page.locator(".flb-read", has_text="Round 29: The model is right on").wait_for()
    button(page, "^Disparity").click()
    assert page.get_by_role("region", name="Disparity").get_by_role("row").count() == 31
    shoot(page, "4_dark_mb_table")
    theme(page, "JupyterLab Light")
    until(page, theme="light")


def test_narrow_page_does_not_overflow(page):
    page.set_viewport_size({"width": 480, "height": 2200})
    kernel(page, "begin('Adult, 8 clients'); grow(1, 30); end();"
                 "begin('Adult, with a long title that has to wrap somewhere'); grow(1, 14, up=0.01)")
    until(page, n=14)
    page.wait_for_timeout(500)
    wide = page.evaluate("""() => { const end = document.querySelector('.flb').getBoundingClientRect().right + 1;
        return [...document.querySelectorAll('.flb *:not(.flb-sr)')]
            .filter(e => e.getBoundingClientRect().right > end).map(e => e.className || e.tagName); }""")
    shoot(page, "5_narrow")
    assert wide == []


def test_a_gap_is_repaired(page):
    kernel(page, "begin('Gaps'); grow(1, 5); real = board.send; board.send = lambda *a: None; grow(6, 8);"
                 "board.send = real; grow(9, 9)")
    until(page, n=9, gaps=1)
    kernel(page, "grow(10, 12)")
    until(page, n=12, gaps=1)


def test_many_frames_are_dropped_not_queued(page):
    kernel(page, "begin('Fast', rounds=1000); grow(1, 1000, rounds=1000)")
    began = time.time()
    until(page, n=1000)
    assert time.time() - began < 3
    assert int(data(page)["draws"]) < 900


def test_no_groups_is_a_sentence_and_forty_clients_are_a_band(page):
    kernel(page, "begin('Digits, 40 clients', groups=['all'], clients=[dict(client=i, held_out=40, groups=[40])"
                 " for i in range(40)]); grow(1, 15, groups=False, clients=40)")
    until(page, n=15)
    page.get_by_text("These data name no groups").wait_for()
    shoot(page, "6_no_groups_forty_clients")


def test_plain_keys_do_not_reach_jupyterlab(page):
    kernel(page, "begin('Keys'); grow(1, 5)")
    until(page, n=5)
    cells = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
    before = page.evaluate(cells)
    for target in (button(page, "^Convergence"), page.get_by_role("radio", name="MB"),
                   page.get_by_role("group", name=re.compile("Comm"))):
        page.locator(".flb h3").first.click()                  # the notebook is in command mode, where letters act
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:enter-command-mode')")
        target.focus()
        for keys in ("b", "a", "dd", "x"):                         # one by one: together they would cancel out
            for key in keys:
                page.keyboard.press(key)
            page.wait_for_timeout(200)
            assert page.evaluate(cells) == before and page.locator(".flb").count() == 1, keys


def test_emitted_to_visible_in_150_ms(page):
    kernel(page, "begin('Latency', rounds=1040); grow(1, 1000, rounds=1040)")
    until(page, n=1000)
    page.evaluate("""() => { const root = document.querySelector('.flb'); window.seen = {};
        new MutationObserver(() => { window.seen[root.dataset.n] ??= Date.now(); })
            .observe(root, {attributes: true, attributeFilter: ['data-n']}); }""")
    sent = json.loads(kernel(page, "import json; sent = {}\nfor r in range(1001, 1041):\n"
                                   "    sent[r] = time.time() * 1000\n    grow(r, r, rounds=1040); time.sleep(0.1)\n"
                                   "print(json.dumps(sent))"))
    until(page, n=1040)
    seen = page.evaluate("() => window.seen")
    lags = sorted(seen[r] - at for r, at in sent.items() if r in seen)
    print(f"emitted to visible: median {lags[len(lags) // 2]:.0f} ms, worst {lags[-1]:.0f} ms, {len(lags)} of 40 drawn")
    assert len(lags) >= 30 and lags[len(lags) // 2] <= 150


def test_the_same_board_twice_and_a_restarted_kernel(own_page):
    page = own_page
    kernel(page, "begin('Twice'); grow(1, 5); end()")
    show_again(page)
    page.wait_for_function("() => document.querySelectorAll('.flb[data-n=\"5\"]').length === 2")
    kernel(page, "grow(6, 7)")
    page.wait_for_function("() => document.querySelectorAll('.flb[data-n=\"7\"]').length === 2")
    kernel(page, "board.say('running', 'going on', 0.5, 3); board.flush()")
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.locator(".flb-lost", has_text="run this cell again").first.wait_for(timeout=90_000)


def test_a_new_view_shows_the_snapshot_when_nobody_answers(own_page):
    page = own_page
    kernel(page, "begin('Saved'); grow(1, 5); end(); begin('Saved again'); grow(1, 6); end();"
                 "board.send = lambda *a: None")
    show_again(page)
    page.wait_for_function("() => { const d = document.querySelectorAll('.flb')[1]?.dataset; return d && d.n === '6' "
                           "&& d.ghost === '5' && d.seq === '-1' && d.state === 'done'; }")
