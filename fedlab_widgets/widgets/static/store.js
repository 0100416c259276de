// What Python said, as the page keeps it: small words and elements, the store, and the stream that fills it.

const SYNC_EVERY = 1000, SAY_EVERY = 2000, TABLE_EVERY = 1000, SILENT = 10000;
const LIVE = ["starting", "preparing", "running", "stopping"];
const HEIGHT = 240, NARROWEST = 240, TABLE_ROWS = 100, DASHES = [[], [6, 3], [2, 3]];
const TINTS = ["sky", "green", "purple", "orange", "yellow", "blue"];
const AXES = { rounds: "rounds", mb: "MB", seconds: "seconds", time: "virtual time" };
const ATOMS = ["redundant", "unique", "masked"];
let serial = 0, zoom = 1;                                         // zoom: larger words and lines on a projector


// ---- small things ------------------------------------------------------------------------------------------------

const known = (v) => v !== null && v !== undefined && !Number.isNaN(v);
const gap = (v) => (known(v) ? v : null);
const percent = (v) => (known(v) ? `${(100 * v).toFixed(1)}\u00a0%` : "–");
const minus = (text) => text.replace("-", "−");
const signed = (v, digits) => (v > 0 ? "+" : "") + minus(v.toFixed(digits));
const points = (v) => `${signed(100 * v, 1)} points`;
const overGuessing = (v) => {
  const by = Math.abs(100 * v).toFixed(1);
  return +by ? `${by} points ${v < 0 ? "under" : "over"} always guessing` : "as often as always guessing";
};
const bits = (v) => (known(v) ? `${v.toFixed(4)}` : "–");
const plain = (v, d = 2) => (known(v) ? v.toFixed(d) : "–");
const count = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
const axisMb = (v) => minus(String(+v.toPrecision(6)));

// Amounts in MB as texts, in one unit: three significant digits of the largest, two of the smallest.
function amounts(...values) {
  const some = values.map(Math.abs).filter((v) => v > 0), most = Math.max(...some, 0);
  const [unit, factor] = most < 0.9995 ? ["kB", 1e3] : most < 999.5 ? ["MB", 1] : ["GB", 1e-3];
  const need = (v, n) => n - 1 - Math.floor(Math.log10(v * factor));
  const places = some.length ? Math.min(Math.max(need(most, 3), need(Math.min(...some), 2), 0), 4) : 0;
  return { unit, places, texts: values.map((v) => `${minus((v * factor).toFixed(places))}\u00a0${unit}`) };
}
const amount = (v) => (known(v) ? amounts(v).texts[0] : "–");
// What went up and down and both together: the sum is that of the rounded parts, so that a reader may add them up.
function sent(up, down) {
  const { unit, places, texts } = amounts(up, down, up + down);
  const sum = parseFloat(texts[0]) + parseFloat(texts[1]);
  return { up: texts[0], down: texts[1], sum: `${sum.toFixed(places)}\u00a0${unit}` };
}

function span(seconds) {
  if (seconds < 90) return `${Math.max(Math.round(seconds), 1)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

function tag(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// Rewriting equal text would make screen readers and selections jump.
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Plain keys must not reach JupyterLab: `b` adds a cell there and `d d` deletes the lab. Shortcuts and Escape pass.
export function guardKeys(node) {
  const stop = (e) => {
    if (!e.ctrlKey && !e.metaKey && !e.altKey && e.key !== "Escape") e.stopPropagation();
  };
  node.addEventListener("keydown", stop);
  return () => node.removeEventListener("keydown", stop);
}

function isDark() {
  const light = document.body.getAttribute("data-jp-theme-light");
  if (light !== null) return light === "false";
  if (document.body.classList.contains("vscode-dark")) return true;
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function watchTheme(change) {
  const seen = new MutationObserver(change), media = matchMedia("(prefers-color-scheme: dark)");
  const attributeFilter = ["data-jp-theme-light", "data-jp-theme-name", "class"];
  seen.observe(document.body, { attributes: true, attributeFilter });
  media.addEventListener("change", change);
  return () => { seen.disconnect(); media.removeEventListener("change", change); };
}

// ---- store -------------------------------------------------------------------------------------------------------

const EMPTY = { number: 0, title: "", rounds: 0, majority: null, labels: [], groups: [], private: false, about: "",
  says: "", was: "", count: 0, lines: 0, clients: [] };
const bytesOf = (b) => (b instanceof DataView ? new Uint8Array(b.buffer, b.byteOffset, b.byteLength)
  : b instanceof ArrayBuffer ? new Uint8Array(b) : new Uint8Array(b.buffer, b.byteOffset, b.byteLength));
// Copied, since a buffer from the wire need not start at a multiple of four.
const floats = (b) => new Float32Array(bytesOf(b).slice().buffer);

// Data as told by Python: a task as JSON, or words.
function dataName(about) {
  try {
    const { part, title, ...rest } = JSON.parse(about);
    return [title || part, ...(title ? [] : Object.values(rest))].join(", ");
  } catch { return about || "unnamed"; }
}

function makeStore() {
  const st = { seq: null, gaps: 0, columns: [], at: {}, run: EMPTY, ghost: null, other: "", rows: [],
    ghostRows: [],
    say: { state: "idle", text: "", done: 0, left: null }, version: 0 };

  function split(values, n, lines) {
    const width = st.columns.length + lines;
    return Array.from({ length: n }, (_, i) => values.subarray(i * width, (i + 1) * width));
  }
  function keep(rows) {
    for (const row of rows) {
      let i = st.rows.length;
      while (i > 0 && st.rows[i - 1][0] > row[0]) i--;            // rows come nearly in order
      if (i > 0 && st.rows[i - 1][0] === row[0]) st.rows[i - 1] = row;
      else st.rows.splice(i, 0, row);
    }
  }
  st.full = (m, buffers) => {
    st.columns = m.columns;
    st.at = Object.fromEntries(m.columns.map((name, i) => [name, i]));
    Object.assign(st, { run: m.run, ghost: m.ghost, seq: m.seq, say: m.say });
    st.rows = split(floats(buffers[0]), m.n, m.run.lines);
    st.other = m.ghost && m.ghost.about !== m.run.about ? dataName(m.ghost.about) : "";
    st.ghostRows = st.other ? [] : split(floats(buffers[1]), m.ghosts, 0);
    st.version++;
  };
  // True if the message was the next one; false asks for everything.
  st.delta = (m, buffers) => {
    if (st.seq === null) return false;
    if (m.seq <= st.seq) return true;                              // already in the last full answer
    if (m.seq !== st.seq + 1) return false;
    st.seq = m.seq;
    if (m.say) st.say = m.say;
    if (m.n) keep(split(floats(buffers[0]), m.n, st.run.lines));
    st.version++;
    return true;
  };
  st.snapshot = (view) => {
    const all = bytesOf(view);
    if (all.byteLength < 4) return;
    const size = new DataView(all.buffer, all.byteOffset, 4).getUint32(0, true);
    const m = JSON.parse(new TextDecoder().decode(all.subarray(4, 4 + size)));
    const middle = 4 + size + 4 * m.n * (m.columns.length + m.run.lines);
    st.full(m, [all.subarray(4 + size, middle), all.subarray(middle)]);
    st.seq = null;                                                 // a picture, not a place in the stream
  };
  st.clientName = (i) => (st.run.clients[i] ? st.run.clients[i][0] : `client ${i}`);
  st.clientWords = (i) => {
    const n = st.run.clients[i] && st.run.clients[i][1];
    return st.clientName(i) + (n === null || n === undefined ? "" : `, n\u00a0=\u00a0${count(n)}`);
  };
  return st;
}

// The columns of a run as uPlot wants them, with amounts added up; x by the axis chosen.
function columnsOf(st, rows, axis) {
  const at = st.at, n = rows.length, col = (name) => rows.map((r) => gap(r[at[name]]));
  const sum = (name) => { let s = 0; return rows.map((r) => (s += known(r[at[name]]) ? r[at[name]] : 0)); };
  const up = sum("bytes_up").map((v) => v / 1e6), down = sum("bytes_down").map((v) => v / 1e6);
  const seconds = sum("seconds"), round = rows.map((r) => r[0]);
  const x = { mb: () => up.map((v, i) => v + down[i]), seconds: () => seconds, time: () => col("time") };
  return { n, x: (x[axis] || (() => round))(), round, up, down, seconds, col, row: (i) => rows[i] };
}

// What is drawn this frame, in one place, so that plots, cards and words cannot disagree.
function viewOf(st, axis) {
  const now = columnsOf(st, st.rows, axis), ghost = columnsOf(st, st.ghostRows, axis);
  for (const c of [now, ghost]) {
    for (const name of ["accuracy", "mean_client", "worst_client", "best_client", "epsilon", "worst_at",
      ...ATOMS, ...ATOMS.map((a) => `${a}_hi`)]) {
      c[name] = st.columns.length ? c.col(name) : [];
    }
    c.low = c.redundant;                                           // the upper edges of the three atoms
    c.mid = c.low.map((v, i) => (known(v) && known(c.unique[i]) ? v + c.unique[i] : null));
    c.top = c.mid.map((v, i) => (known(v) && known(c.masked[i]) ? v + c.masked[i] : null));
  }
  now.clients = Array.from({ length: st.run.lines }, (_, i) => st.rows.map((r) => gap(r[st.columns.length + i])));
  return { now, ghost, axis };
}

function lastKnown(values, from = values.length - 1) {
  for (let i = from; i >= 0; i--) if (known(values[i])) return i;
  return -1;
}

// The run before at the same round, or where it ended; null without one.
function ghostAt(v, name, round) {
  let i = -1;
  for (let k = 0; k < v.ghost.n && v.ghost.round[k] <= round; k++) if (known(v.ghost[name][k])) i = k;
  return i < 0 ? null : v.ghost[name][i];
}

// ---- the stream --------------------------------------------------------------------------------------------------

// Applies messages to the store, asks again after a gap, and says when nobody answers.
function listen(model, st, changed, lost) {
  let asked = -Infinity, timer = 0, heard = Date.now(), waiting = 0, gone = false;   // waiting: since when
  function ask() {
    clearTimeout(timer);
    const wait = asked + SYNC_EVERY - Date.now();
    if (wait > 0) { timer = setTimeout(ask, wait); return; }
    asked = Date.now();
    waiting = waiting || asked;
    try { model.send({ op: "sync" }); } catch { /* no kernel: the watch below says so */ }
  }
  function on(message, buffers) {
    heard = Date.now();
    if (message.op === "full") {
      st.full(message, buffers);
      waiting = 0;
      clearTimeout(timer);
    } else if (message.op === "rows") {
      if (!st.delta(message, buffers)) {
        if (st.seq !== null && !waiting) st.gaps++;
        ask();
        return;
      }
    } else return;
    if (gone) { gone = false; lost(false); }
    changed();
  }
  // A kernel that was restarted never answers; one that is busy answers late.
  const watch = setInterval(() => {
    const now = Date.now();
    if (waiting && !gone && now - waiting > SILENT / 2) { gone = true; lost(true); }
    else if (!waiting && LIVE.includes(st.say.state) && now - heard > SILENT) ask();
  }, 1000);
  model.on("msg:custom", on);
  model.on("comm_live_update", ask);   // the page saw its kernel go: ask, and nobody will answer
  ask();
  return () => { model.off("msg:custom", on); model.off("comm_live_update", ask); clearInterval(watch); clearTimeout(timer); };
}
