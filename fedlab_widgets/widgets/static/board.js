// The board's page half. uPlot (MIT, see uplot/LICENSE) stands in front of this file in one module: no network.
// Store: what Python said. Plots: three uPlots drawn from it, once an animation frame. Everything else is words.

const SYNC_EVERY = 1000, SAY_EVERY = 2000, TABLE_EVERY = 1000, SILENT = 10000;
const LIVE = ["starting", "preparing", "running", "stopping"];
const HEIGHT = 240, TABLE_ROWS = 100, DASHES = [[], [6, 3], [2, 3]];
const TINTS = ["sky", "green", "purple", "orange", "yellow", "blue"];
const AXES = { rounds: "rounds", mb: "MB", seconds: "seconds" };
const ATOMS = ["redundant", "unique", "masked"];
let serial = 0;

// ---- small things ------------------------------------------------------------------------------------------------

const known = (v) => v !== null && v !== undefined && !Number.isNaN(v);
const gap = (v) => (known(v) ? v : null);
const percent = (v) => (known(v) ? `${(100 * v).toFixed(1)}\u00a0%` : "–");
const minus = (text) => text.replace("-", "−");
const signed = (v, digits) => (v > 0 ? "+" : "") + minus(v.toFixed(digits));
const points = (v) => `${signed(100 * v, 1)} points`;
const digits = (v) => (v >= 100 ? 0 : v >= 10 ? 1 : v >= 0.1 ? 2 : 4);
const mb = (v) => (known(v) ? `${v.toFixed(v ? digits(v) : 0)} MB` : "–");
const bits = (v) => (known(v) ? `${v.toFixed(4)}` : "–");
const plain = (v, d = 2) => (known(v) ? v.toFixed(d) : "–");
const count = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const axisMb = (v) => minus(String(+v.toPrecision(6)));

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

const EMPTY = { number: 0, title: "", rounds: 0, majority: null, labels: [], groups: [], private: false, count: 0,
  lines: 0, clients: [] };
const bytesOf = (b) => (b instanceof DataView ? new Uint8Array(b.buffer, b.byteOffset, b.byteLength)
  : b instanceof ArrayBuffer ? new Uint8Array(b) : new Uint8Array(b.buffer, b.byteOffset, b.byteLength));
// Copied, since a buffer from the wire need not start at a multiple of four.
const floats = (b) => new Float32Array(bytesOf(b).slice().buffer);

function makeStore() {
  const st = { seq: null, gaps: 0, columns: [], at: {}, run: EMPTY, ghost: null, rows: [], ghostRows: [],
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
    st.ghostRows = split(floats(buffers[1]), m.ghosts, 0);
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
  const x = axis === "mb" ? up.map((v, i) => v + down[i]) : axis === "seconds" ? seconds : round;
  return { n, x, round, up, down, seconds, col, row: (i) => rows[i] };
}

// What is drawn this frame, in one place, so that plots, cards and words cannot disagree.
function viewOf(st, axis) {
  const now = columnsOf(st, st.rows, axis), ghost = columnsOf(st, st.ghostRows, axis);
  for (const c of [now, ghost]) {
    for (const name of ["accuracy", "mean_client", "worst_client", "best_client", "epsilon", "worst_at",
      ...ATOMS, ...ATOMS.map((a) => `${a}_hi`)]) {
      c[name] = st.columns.length ? c.col(name) : [];
    }
  }
  now.clients = Array.from({ length: st.run.lines }, (_, i) => st.rows.map((r) => gap(r[st.columns.length + i])));
  now.low = now.redundant;
  now.mid = now.low.map((v, i) => (known(v) && known(now.unique[i]) ? v + now.unique[i] : null));
  now.top = now.mid.map((v, i) => (known(v) && known(now.masked[i]) ? v + now.masked[i] : null));
  return { now, ghost, axis };
}

function lastKnown(values, from = values.length - 1) {
  for (let i = from; i >= 0; i--) if (known(values[i])) return i;
  return -1;
}

// The previous run at the same round, or where it ended; null without one.
function ghostAt(v, name, round) {
  let i = -1;
  for (let k = 0; k < v.ghost.n && v.ghost.round[k] <= round; k++) if (known(v.ghost[name][k])) i = k;
  return i < 0 ? null : v.ghost[name][i];
}

// ---- drawing helpers ---------------------------------------------------------------------------------------------

function palette(root) {
  const css = getComputedStyle(root), of = (name) => css.getPropertyValue(`--flb-${name}`).trim();
  const names = ["fg", "soft", "card", "ghost", "grid", "blue", "sky", "orange", "green", "vermillion", "purple",
    "yellow", "label"];
  const p = Object.fromEntries(names.map((name) => [name, of(name)]));
  p.hatch = { redundant: hatch(p.orange, "rise"), unique: hatch(p.blue, "full"), masked: hatch(p.purple, "dots") };
  return p;
}

// Areas differ by pattern as well as by colour.
function hatch(colour, kind) {
  const size = 8, c = tag("canvas", { width: size, height: size }), g = c.getContext("2d");
  g.fillStyle = g.strokeStyle = colour;
  g.globalAlpha = kind === "full" ? 0.75 : 0.35;
  g.fillRect(0, 0, size, size);
  g.globalAlpha = 1;
  g.lineWidth = 1.6;
  const stroke = (d) => { g.beginPath(); g.moveTo(d - 1, 9); g.lineTo(d + 9, -1); g.stroke(); };
  if (kind === "rise") [-8, 0, 8].forEach(stroke);
  if (kind === "dots") for (const [x, y] of [[2, 2], [6, 6]]) { g.beginPath(); g.arc(x, y, 1.2, 0, 7); g.fill(); }
  return g.createPattern(c, "repeat");
}

const dpr = () => uPlot.pxRatio;

function inside(u, draw) {
  const g = u.ctx, b = u.bbox;
  g.save();
  g.beginPath();
  g.rect(b.left, b.top, b.width, b.height);
  g.clip();
  draw(g);
  g.restore();
}

function path(u, g, xs, ys) {
  g.beginPath();
  let open = false;
  for (let i = 0; i < xs.length; i++) {
    if (!known(ys[i]) || !known(xs[i])) continue;
    const x = u.valToPos(xs[i], "x", true), y = u.valToPos(ys[i], "y", true);
    if (open) g.lineTo(x, y); else g.moveTo(x, y);
    open = true;
  }
}

function line(u, g, xs, ys, colour, width, dash) {
  g.strokeStyle = colour;
  g.lineWidth = width * dpr();
  g.setLineDash(dash.map((d) => d * dpr()));
  path(u, g, xs, ys);
  g.stroke();
  g.setLineDash([]);
}

// A plate behind the words keeps them readable over lines.
function words(g, text, x, y, colour, plate, align = "left") {
  const r = dpr();
  g.font = fontOf(r);
  g.textAlign = align;
  g.textBaseline = "middle";
  const wide = g.measureText(text).width, left = x - { left: 0, center: 0.5, right: 1 }[align] * wide;
  g.globalAlpha = 0.82;
  g.fillStyle = plate;
  g.fillRect(left - 3 * r, y - 7.5 * r, wide + 6 * r, 15 * r);
  g.globalAlpha = 1;
  g.fillStyle = colour;
  g.fillText(text, x, y);
}

const fontOf = (r) => `500 ${12 * r}px system-ui, sans-serif`;

function swatch(colour, width, dash, pattern = "") {
  const mark = pattern
    ? `<rect x="1" y="2" width="24" height="10" fill="var(--flb-${colour})"
        fill-opacity="${pattern === "full" ? 0.8 : 0.3}"
        stroke="var(--flb-${colour})" ${pattern === "dots" ? 'stroke-dasharray="2 2"' : ""}/>`
      + (pattern === "rise" ? `<path d="M2 12l9-10M9 12l9-10M16 12l9-10" stroke="var(--flb-${colour})"/>` : "")
    : `<path d="M1 7H25" stroke="var(--flb-${colour})" stroke-width="${width}" stroke-dasharray="${dash}"/>`;
  const box = document.createElement("span");
  box.innerHTML = `<svg width="26" height="14" aria-hidden="true">${mark}</svg>`;   // constants only, no user text
  return box.firstChild;
}

// ---- the three plots: what each draws, says and lists ------------------------------------------------------------

function axisRange(st, v, low, high) {
  const ends = [v.now, v.ghost].map((c) => (c.n ? c.x[c.n - 1] : 0));
  let first = 0, last = Math.max(...ends);
  if (v.axis === "rounds") {
    first = st.rows.length ? Math.min(st.rows[0][0], 1) : 0;
    if (LIVE.includes(st.say.state) || st.say.state === "paused") last = Math.max(last, st.run.rounds);
  }
  return [first, last > first ? last : first + 1];
}

function extent(lists) {
  let low = Infinity, high = -Infinity;
  for (const list of lists) for (const v of list) if (known(v)) { low = Math.min(low, v); high = Math.max(high, v); }
  return [low, high];
}

const before = (env) => (env.view.ghost.n ? [["previous run", "ghost", 2, "3 3"]] : []);
const many = (st) => st.run.lines === 0 && st.run.count > 0;

function convergence(st, env) {
  const worstAt = () => { const i = lastKnown(env.view.now.worst_at); return i < 0 ? -1 : env.view.now.worst_at[i]; };
  const p = () => env.colours;

  function series() {
    const thin = Array.from({ length: st.run.lines }, (_, i) => ({
      stroke: () => p()[TINTS[i % TINTS.length]], width: 1, alpha: 0.6,
        dash: DASHES[Math.floor(i / TINTS.length) % 3] }));
    return [...thin, { stroke: () => p().vermillion, width: many(st) ? 1.5 : 0 },
      { stroke: () => p().sky, width: many(st) ? 1 : 0 },
      { stroke: () => p().blue, width: 2, dash: [7, 4] }, { stroke: () => p().fg, width: 3 }];
  }
  function data(v) {
    const blank = v.now.x.map(() => null);
    return [...v.now.clients, many(st) ? v.now.worst_client : blank, many(st) ? v.now.best_client : blank,
      v.now.mean_client, v.now.accuracy];
  }
  function range() {
    const v = env.view;
    let [low, high] = extent([...data(v), v.ghost.accuracy, [st.run.majority]]);
    if (low > high) return [0, 1];
    const more = Math.max(0.08 * (high - low), 0.02);
    return [Math.max(low - more, 0), Math.min(high + more, 1.005)];
  }
  function under(u) {
    const v = env.view;
    inside(u, (g) => {
      if (many(st)) area(u, g, v.now.x, v.now.worst_client, v.now.best_client);
      line(u, g, v.ghost.x, v.ghost.accuracy, p().ghost, 2, [4, 4]);
      if (known(st.run.majority)) line(u, g, [u.scales.x.min, u.scales.x.max], [st.run.majority, st.run.majority],
        p().soft, 1.5, [9, 5]);
    });
  }
  function area(u, g, xs, low, high) {
    const at = xs.map((_, i) => i).filter((i) => known(low[i]) && known(high[i]));
    g.beginPath();
    for (const i of at) g.lineTo(u.valToPos(xs[i], "x", true), u.valToPos(high[i], "y", true));
    for (const i of at.reverse()) g.lineTo(u.valToPos(xs[i], "x", true), u.valToPos(low[i], "y", true));
    g.fillStyle = p().sky;
    g.globalAlpha = 0.22;
    g.fill();
    g.globalAlpha = 1;
  }
  function over(u) {
    inside(u, (g) => {
      const guess = known(st.run.majority) ? u.valToPos(st.run.majority, "y", true) : null;
      const taken = worstLine(u, g, guess);
      if (guess !== null) {
        const r = dpr(), b = u.bbox, [name, dot] = taken;
        const near = (y, other) => other !== undefined && Math.abs(y - other) < 16 * r;
        const above = guess - 10 * r, under = guess + 10 * r;
        const below = above < b.top + 8 * r || near(above, name) || (near(above, dot) && !near(under, name));
        words(g, `always guessing: ${percent(st.run.majority)}`, b.left + b.width - 6 * r,
          guess + (below ? 10 : -10) * r, p().soft, p().card, "right");
      }
    });
  }
  // Draws who is worst now and returns the heights that are taken, its name clear of the guessing line where it can be.
  function worstLine(u, g, guess) {
    const v = env.view, w = worstAt(), r = dpr(), b = u.bbox;
    const ys = w < 0 ? [] : (v.now.clients[w] || v.now.worst_client), i = lastKnown(ys);
    if (i < 0) return [];
    if (v.now.clients[w]) line(u, g, v.now.x, ys, p().vermillion, 2, []);
    const x = u.valToPos(v.now.x[i], "x", true), y = u.valToPos(ys[i], "y", true), text = `worst: ${st.clientWords(w)}`;
    g.fillStyle = p().vermillion;
    g.beginPath();
    g.arc(x, y, 3.5 * r, 0, 7);
    g.fill();
    g.font = fontOf(r);
    const room = b.left + b.width - x > g.measureText(text).width + 14 * r;
    const free = (at) => at > b.top + 8 * r && at < b.top + b.height - 8 * r
      && (guess === null || Math.abs(at - guess) > 10 * r);
    const at = [...(room ? [0] : []), 15, -15, 28, -28].map((d) => y + d * r).find(free) ?? y;
    words(g, text, room ? x + 9 * r : b.left + b.width - 6 * r, at, p().label, p().card, room ? "left" : "right");
    return [at, y];
  }
  function mix(i) {
    const groups = (st.run.clients[i] || [])[2] || [], all = groups.reduce((a, b) => a + b, 0);
    if (st.run.groups.length < 2 || !all) return "";
    const shares = st.run.groups.map((name, k) => `${name} ${Math.round(100 * (groups[k] || 0) / all)}\u00a0%`);
    return ` (${shares.join(", ")})`;
  }
  return {
    key: "convergence", title: "Convergence", series, data, range, under, over,
    ticks: (v) => `${minus((100 * v).toFixed(0))} %`,
    legend: () => [["test set", "fg", 3, ""], ["mean client", "blue", 2, "6 3"],
      many(st) ? ["worst to best client", "sky", 6, ""] : ["clients", "sky", 1, ""],
      ["worst client", "vermillion", 2, ""],
      ["always the commonest label", "soft", 1.5, "7 3"], ...before(env)],
    read: (v, i) => {
      const w = v.now.worst_at[i], was = ghostAt(v, "accuracy", v.now.round[i]);
      if (!known(v.now.accuracy[i]) && !known(v.now.mean_client[i])) return "Accuracy was not read after this round.";
      return `The model is right on ${percent(v.now.accuracy[i])} of the test rows; `
        + `mean client ${percent(v.now.mean_client[i])}`
        + `; worst ${known(w) ? `${st.clientName(w)} with ` : "client "}${percent(v.now.worst_client[i])}`
        + `, best ${percent(v.now.best_client[i])}`
        + (known(was) ? `. Previous run: ${percent(was)}.` : ".");
    },
    note: () => {
      const w = worstAt();
      if (w < 0) return "";
      return `Worst client now: ${st.clientWords(w)}${mix(w)}.`
        + (st.run.groups.length > 1
          ? " Lower accuracy here does not mean that its groups are disadvantaged; see Fairness." : "");
    },
    head: () => ["test set", "mean client", "worst client", "best client", "loss"],
    cells: (v, i) => [percent(v.now.accuracy[i]), percent(v.now.mean_client[i]), percent(v.now.worst_client[i]),
      percent(v.now.best_client[i]), plain(gap(v.now.row(i)[st.at.loss]), 3)],
    empty: () => "",
  };
}

function disparity(st, env) {
  const p = () => env.colours, GUTTER = 62;

  // Top first: bands fill down to the series below.
  const series = () => ["masked", "unique", "redundant"].map((name, i) => ({
    stroke: () => p()[{ masked: "purple", unique: "blue", redundant: "orange" }[name]], width: 1.5,
    dash: [[2, 2], [7, 3], []][i],
    fill: i === 2 ? () => p().hatch.redundant : undefined }));
  const bands = () => [{ series: [1, 2], fill: () => p().hatch.masked },
    { series: [2, 3], fill: () => p().hatch.unique }];
  const floors = (v) => ({ redundant: v.now.low.map(() => 0), unique: v.now.low, masked: v.now.mid });

  // Where each atom would end if it were as large as chance alone makes it.
  function chance(v) {
    const base = floors(v);
    const end = (a) => (hi, i) => (known(hi) && known(base[a][i]) ? base[a][i] + hi : null);
    return Object.fromEntries(ATOMS.map((a) => [a, v.now[`${a}_hi`].map(end(a))]));
  }
  function range() {
    const [, high] = extent([env.view.now.top, ...Object.values(chance(env.view))]);
    return [0, high > 0 ? 1.12 * high : 0.01];
  }
  function over(u) {
    const v = env.view, r = dpr(), g = u.ctx;
    const tops = chance(v), tint = { redundant: "orange", unique: "blue", masked: "purple" };
    inside(u, () => {
      for (const a of ATOMS) {
        line(u, g, v.now.x, tops[a], p().card, 3.5, []);
        line(u, g, v.now.x, tops[a], p().fg, 1.2, [2, 3]);
        v.now.x.forEach((x, i) => {
          if (!known(tops[a][i])) return;
          const px = u.valToPos(x, "x", true), py = u.valToPos(tops[a][i], "y", true);
          g.fillStyle = p().card;
          g.fillRect(px - 6 * r, py - 2.5 * r, 12 * r, 5 * r);
          g.fillStyle = p()[tint[a]];
          g.fillRect(px - 5 * r, py - 1.25 * r, 10 * r, 2.5 * r);
        });
      }
    });
    const i = env.at !== null && known(v.now.top[env.at]) ? env.at : lastKnown(v.now.top);
    if (i >= 0) brackets(u, g, r, v, i);
  }
  // Each bracket has its name along it, so that nobody has to guess which is which.
  function brackets(u, g, r, v, i) {
    const b = u.bbox, x0 = b.left + b.width, y = (val) => u.valToPos(val, "y", true);
    for (const [name, low, high, dx] of [["global", 0, v.now.mid[i], 8], ["local", v.now.low[i], v.now.top[i], 36]]) {
      const x = x0 + dx * r, text = `${name} ${bits(high - low)}`;
      g.strokeStyle = p().fg;
      g.lineWidth = 1.4 * r;
      g.beginPath();
      g.moveTo(x - 5 * r, y(high)); g.lineTo(x, y(high)); g.lineTo(x, y(low)); g.lineTo(x - 5 * r, y(low));
      g.stroke();
      g.font = fontOf(r);
      const half = g.measureText(text).width / 2, middle = (y(low) + y(high)) / 2;
      g.save();
      g.translate(x + 10 * r, Math.max(Math.min(middle, b.top + b.height - half), b.top + half));
      g.rotate(-Math.PI / 2);
      words(g, text, 0, 0, p().fg, p().card, "center");
      g.restore();
    }
  }
  function was(v, round) {
    const [red, uni, mask] = ATOMS.map((a) => ghostAt(v, a, round));
    return [red, uni, mask].every(known) ? ` Previous run: global ${bits(red + uni)}, local ${bits(uni + mask)}.` : "";
  }
  const tested = () => st.run.clients.reduce((sum, c) => sum + (c[1] || 0), 0);
  function note(v) {
    const i = lastKnown(v.now.unique_hi);
    if (i < 0) return lastKnown(v.now.top) < 0 ? ""
      : "Ticks show what chance alone gives, once it has been worked out.";
    const under = ATOMS.filter((a) => known(v.now[a][i]) && v.now[a][i] <= v.now[`${a}_hi`][i]);
    const where = `Ticks: what chance alone reaches (95 % band), after round ${v.now.round[i]}. `;
    const n = `n\u00a0=\u00a0${count(tested())}`;
    return where + (under.length ? `Now ${under.join(" and ")} cannot be told from zero with ${n}.`
      : "All three lie above it.");
  }
  return {
    key: "disparity", title: "Disparity, in bits", series, bands, range, over, under: () => {},
      gutter: GUTTER,
    data: (v) => [v.now.top, v.now.mid, v.now.low],
    ticks: (v) => String(+v.toPrecision(4)),
    legend: () => [["masked", "purple", 0, "", "dots"], ["unique", "blue", 0, "", "full"],
      ["redundant", "orange", 0, "", "rise"]],
    read: (v, i) => (known(v.now.top[i])
      ? `Redundant ${bits(v.now.redundant[i])}, unique ${bits(v.now.unique[i])}, masked ${bits(v.now.masked[i])} bits. `
        + `Global disparity (redundant + unique) ${bits(v.now.mid[i])}; `
        + `local disparity (unique + masked) ${bits(v.now.top[i] - v.now.low[i])}.`
        + was(v, v.now.round[i])
      : "Disparity was not read after this round."),
    note: () => note(env.view),
    head: () => ["redundant", "unique", "masked", "global", "local", "chance reaches (r, u, m)"],
    cells: (v, i) => [...ATOMS.map((a) => bits(v.now[a][i])), bits(v.now.mid[i]),
      bits(known(v.now.top[i]) ? v.now.top[i] - v.now.low[i] : null),
        ATOMS.map((a) => bits(v.now[`${a}_hi`][i])).join(", ")],
    empty: () => (st.run.groups.length < 2 && st.rows.length
      ? "These data name no groups, so there is no disparity between groups to show. "
        + "Choose data with a sensitive column (Adult, for one)."
      : ""),
  };
}

function communication(st, env) {
  const p = () => env.colours;
  return {
    key: "communication", title: "Communication, in MB", over: () => {},
    under: (u) => inside(u, (g) => {
      const was = env.view.ghost;
      for (const ys of [was.up, was.down]) line(u, g, was.x, ys, p().ghost, 1.5, [4, 4]);
    }),
    series: () => [{ stroke: () => p().sky, width: 4 }, { stroke: () => p().vermillion, width: 2, dash: [7, 4] }],
    data: (v) => [v.now.down, v.now.up],
    range: () => {
      const { now, ghost } = env.view, [, high] = extent([now.up, now.down, ghost.up, ghost.down]);
      return [0, high > 0 ? 1.08 * high : 1];
    },
    ticks: axisMb,
    legend: () => [["down, to the clients", "sky", 4, ""], ["up, from the clients", "vermillion", 2, "6 3"],
      ...before(env)],
    read: (v, i) => `So far ${mb(v.now.up[i])} up and ${mb(v.now.down[i])} down, `
      + `together ${mb(v.now.up[i] + v.now.down[i])}`
      + ` in ${plain(v.now.seconds[i], 1)} s.`,
    note: () => "",
    head: () => ["up, so far", "down, so far", "seconds"],
    cells: (v, i) => [mb(v.now.up[i]), mb(v.now.down[i]), plain(v.now.seconds[i], 2)],
    empty: () => "",
  };
}

// ---- one plot on the page ----------------------------------------------------------------------------------------

function makePlot(kind, st, env, group) {
  const id = `flb-${++serial}`;
  const button = tag("button", { type: "button", "aria-expanded": "false", "aria-controls": `${id}-t` }, "table");
  button.setAttribute("aria-label", `${kind.title}: show as a table`);
  const legend = tag("ul", { class: "flb-legend", "aria-label": `Lines of ${kind.title}` });
  const box = tag("div", { class: "flb-canvas", tabindex: "0", role: "group", "aria-roledescription": "plot",
    "aria-label": `${kind.title}. Left and right arrow read the values.`, "aria-describedby": `${id}-r` });
  const none = tag("p", { class: "flb-none", hidden: "" });
  const read = tag("p", { class: "flb-read", id: `${id}-r` });
  const note = tag("p", { class: "flb-note" });
  const rows = tag("div", { class: "flb-rows", id: `${id}-t`, tabindex: "0", role: "region",
    "aria-label": `${kind.title} as a table`, hidden: "" });
  const node = tag("section", { class: "flb-plot", "aria-label": kind.title, "data-plot": kind.key },
    tag("header", {}, tag("h4", {}, kind.title), button), box, none, legend, read, note, rows);
  let u = null, built = "", listed = 0, key = "";

  function options() {
    const axis = { stroke: () => env.colours.soft, grid: { stroke: () => env.colours.grid, width: 1 },
      ticks: { stroke: () => env.colours.grid, width: 1, size: 5 }, font: "12px system-ui, sans-serif" };
    return {
      width: Math.max(box.clientWidth, 120), height: HEIGHT, legend: { show: false },
      padding: [8, kind.gutter || 12, 0, 0],
      cursor: { drag: { x: false, y: false }, sync: { key: group }, points: { size: 6 } },
      scales: { x: { time: false, range: () => axisRange(st, env.view) }, y: { range: () => kind.range() } },
      axes: [{ ...axis, size: 26, space: 46, label: AXES[env.axis], labelSize: 16,
        labelFont: "12px system-ui, sans-serif", labelGap: 0,
        values: (_, ticks) => ticks.map((t) => (env.axis === "rounds" && t % 1 ? "" : axisMb(t))) },
      { ...axis, size: 58, space: 30, values: (_, ticks) => ticks.map(kind.ticks) }],
      series: [{}, ...kind.series().map((s) => ({ spanGaps: true,
        points: { show: env.view.now.n === 1 && s.width > 0 }, ...s }))],
      bands: kind.bands ? kind.bands() : undefined,
      hooks: { drawAxes: [kind.under], draw: [kind.over],
        setCursor: [(plot) => env.pointed(plot.cursor.left < 0 ? null : plot.cursor.idx)] },
    };
  }
  function rebuild() {
    if (u) u.destroy();
    u = new uPlot(options(), [env.view.now.x, ...kind.data(env.view)], box);
  }
  function draw() {
    const text = kind.empty(), what = `${st.run.number}/${st.run.lines}/${env.axis}/${env.view.now.n === 1}`;
    none.hidden = !text;
    box.hidden = legend.hidden = read.hidden = button.hidden = Boolean(text);
    put(none, text);
    if (text) { rows.hidden = true; put(note, ""); return; }
    if (built !== what || !u) { built = what; rebuild(); } else u.setData([env.view.now.x, ...kind.data(env.view)]);
    drawLegend();
    put(note, kind.note());
    say();
    if (!rows.hidden && Date.now() - listed > TABLE_EVERY) list();
  }
  function drawLegend() {
    const items = kind.legend();
    if (key === JSON.stringify(items)) return;
    key = JSON.stringify(items);
    legend.replaceChildren(...items.map(([text, ...look]) => tag("li", {}, swatch(...look), text)));
  }
  function say() {
    const v = env.view, i = env.at !== null && env.at < v.now.n ? env.at : v.now.n - 1;
    put(read, i < 0 ? "Nothing to read yet."
      : `Round ${v.now.round[i]}${env.at === null ? " (latest)" : ""}: ${kind.read(v, i)}`);
  }
  function list() {
    listed = Date.now();
    const v = env.view, from = Math.max(v.now.n - TABLE_ROWS, 0), body = tag("tbody");
    for (let i = v.now.n - 1; i >= from; i--) {
      const cells = kind.cells(v, i).map((c) => tag("td", {}, c));
      body.append(tag("tr", {}, tag("th", { scope: "row" }, String(v.now.round[i])), ...cells));
    }
    const heads = ["round", ...kind.head()].map((text) => tag("th", { scope: "col" }, text));
    const more = from ? `, the last ${TABLE_ROWS} of ${v.now.n} rounds` : "";
    const caption = tag("caption", {}, `${kind.title}, newest first${more}`);
    rows.replaceChildren(tag("table", {}, caption, tag("thead", {}, tag("tr", {}, ...heads)), body));
  }
  function step(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key], n = env.view.now.n;
    if (!by || !n || !u) return;
    event.preventDefault();
    const i = Math.min(Math.max((env.at === null ? n - 1 : env.at) + by, 0), n - 1);
    u.setCursor({ left: u.valToPos(env.view.now.x[i], "x"), top: 10 });
    env.pointed(i);
  }
  button.addEventListener("click", () => {
    rows.hidden = !rows.hidden;
    button.setAttribute("aria-expanded", String(!rows.hidden));
    if (!rows.hidden) list();
  });
  box.addEventListener("keydown", step);
  box.addEventListener("blur", () => u && u.setCursor({ left: -10, top: -10 }));
  return {
    node, draw, say, list: () => !rows.hidden && list(),
    resize: () => {
      const width = box.clientWidth;
      if (u && width > 0 && u.width !== width) u.setSize({ width, height: HEIGHT });
    },
    redraw: () => u && u.redraw(false, true),
    brackets: () => kind.gutter && u && u.redraw(false, false),
    destroy: () => u && u.destroy(),
  };
}

// ---- cards, status, axis switch ----------------------------------------------------------------------------------

// Nobody wants to read "+0.0 points".
function difference(by, words) {
  const text = words(by);
  return /[1-9]/.test(text) ? `${text} against the previous run` : "as in the previous run";
}

function makeCards() {
  const node = tag("ul", { class: "flb-cards", "aria-label": "Headline numbers" }), cards = {};
  const titles = { accuracy: "Test accuracy", worst: "Worst client", sent: "Sent so far", epsilon: "Privacy spent" };
  for (const [key, title] of Object.entries(titles)) {
    const parts = ["flb-big", "flb-sub", "flb-sub flb-diff"].map((cls) => tag("span", { class: cls }));
    const name = tag("span", { class: "flb-sub" }, title);
    cards[key] = { box: tag("li", { class: "flb-card", "data-card": key }, name, ...parts), parts };
    node.append(cards[key].box);
  }
  const set = (key, ...texts) => texts.forEach((text, k) => put(cards[key].parts[k], text || ""));
  // Against the previous run at the same round; without one, nothing is compared.
  const against = (v, name, i, of, words) => {
    const was = i < 0 ? null : ghostAt(v, name, v.now.round[i]);
    return known(was) ? difference(of - was, words) : "";
  };
  return {
    node,
    draw(st, v) {
      const a = lastKnown(v.now.accuracy), w = lastKnown(v.now.worst_client), e = lastKnown(v.now.epsilon),
        n = v.now.n - 1;
      const acc = a < 0 ? null : v.now.accuracy[a], worst = w < 0 ? null : v.now.worst_client[w];
      set("accuracy", percent(acc), known(acc) && known(st.run.majority)
        ? `${points(acc - st.run.majority)} over always guessing (${percent(st.run.majority)})` : "",
      against(v, "accuracy", a, acc, points));
      const who = w < 0 ? null : v.now.worst_at[w];
      set("worst", percent(worst), known(who) ? st.clientWords(who) : "", against(v, "worst_client", w, worst, points));
      const up = n < 0 ? 0 : v.now.up[n], down = n < 0 ? 0 : v.now.down[n];
      v.ghost.sent = v.ghost.up.map((s, i) => s + v.ghost.down[i]);
      set("sent", n < 0 ? "–" : mb(up + down), n < 0 ? "" : `${mb(up)} up, ${mb(down)} down`,
        against(v, "sent", n, up + down, (d) => `${signed(d, digits(Math.abs(d)))} MB`));
      cards.epsilon.box.hidden = !st.run.private;
      set("epsilon", e < 0 ? "–" : `ε = ${plain(v.now.epsilon[e], 2)}`, "a smaller ε protects more",
        e < 0 ? "" : against(v, "epsilon", e, v.now.epsilon[e], (d) => signed(d, 2)));
    },
  };
}

function makeHead() {
  const title = tag("h3"), state = tag("span", { class: "flb-state" }), text = tag("span", { class: "flb-text" });
  const bar = tag("progress", { max: "1", value: "0", "aria-label": "Progress of the run" }), left = tag("span");
  const status = tag("p", { class: "flb-sr", role: "status" });
  let said = 0, timer = 0;
  const node = tag("div", {}, tag("div", { class: "flb-head" }, title, state, text),
    tag("div", { class: "flb-bar" }, bar, left), status);
  // Screen readers get a summary now and then, not ten a second.
  function announce(summary) {
    clearTimeout(timer);
    const wait = said + SAY_EVERY - Date.now();
    if (wait > 0) { timer = setTimeout(() => announce(summary), wait); return; }
    if (status.textContent !== summary) { put(status, summary); said = Date.now(); }
  }
  function draw(st, v) {
    const { say, run } = st, n = v.now.n, at = n ? v.now.round[n - 1] : 0;
    put(title, run.title || "No run yet");
    put(state, say.state);
    put(text, say.text);
    bar.value = say.done;
    const of = run.rounds ? `round ${at} of ${run.rounds}` : "";
    const rest = known(say.left) && LIVE.includes(say.state) ? `about ${span(say.left)} left` : "";
    put(left, [of, rest].filter(Boolean).join(", "));
    const a = lastKnown(v.now.accuracy), w = lastKnown(v.now.worst_client);
    announce([`${say.state}.`, of && `${of[0].toUpperCase()}${of.slice(1)}.`,
      a >= 0 ? `Test accuracy ${percent(v.now.accuracy[a])}.` : "",
      w >= 0 ? `Worst client ${percent(v.now.worst_client[w])}.` : "",
        n ? `${mb(v.now.up[n - 1] + v.now.down[n - 1])} sent.` : ""]
      .filter(Boolean).join(" "));
  }
  return { node, draw, destroy: () => clearTimeout(timer) };
}

function makeAxis(change) {
  const name = `flb-axis-${++serial}`, seg = tag("span", { class: "flb-seg" });
  for (const [value, text] of Object.entries(AXES)) {
    const input = tag("input", { type: "radio", name, value });
    input.checked = value === "rounds";
    input.addEventListener("change", () => change(value));
    seg.append(tag("label", {}, input, text));
  }
  return tag("fieldset", { class: "flb-axis" }, tag("legend", {}, "Horizontal axis"), seg);
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
  ask();
  return () => { model.off("msg:custom", on); clearInterval(watch); clearTimeout(timer); };
}

// ---- the widget --------------------------------------------------------------------------------------------------

function render({ model, el }) {
  const st = makeStore(), root = tag("section", { class: "flb", "aria-label": "Live results" });
  const env = { axis: "rounds", view: viewOf(st, "rounds"), colours: null, at: null, pointed: null };
  const head = makeHead(), cards = makeCards(), grid = tag("div", { class: "flb-grid" });
  const lost = tag("p", { class: "flb-lost", role: "alert", hidden: "" });
  const axis = makeAxis((value) => { env.axis = value; env.at = null; schedule(); });
  const group = `flb-sync-${++serial}`;
  const plots = [convergence, disparity, communication].map((kind) => makePlot(kind(st, env), st, env, group));
  let frame = 0, draws = 0, pointing = 0;

  env.pointed = (i) => {
    const at = known(i) ? i : null;
    if (at === env.at) return;
    env.at = at;
    cancelAnimationFrame(pointing);
    pointing = requestAnimationFrame(() => plots.forEach((p) => { p.say(); p.brackets(); }));
  };
  // At most one drawing a frame, of what is newest: messages in between cost nothing.
  function schedule() {
    mark();
    if (!frame) frame = requestAnimationFrame(draw);
  }
  function mark() {
    Object.assign(root.dataset, { state: st.say.state, gaps: st.gaps, seq: st.seq ?? -1, run: st.run.number });
  }
  function draw() {
    frame = 0;
    env.view = viewOf(st, env.axis);
    head.draw(st, env.view);
    cards.draw(st, env.view);
    plots.forEach((p) => p.draw());
    Object.assign(root.dataset, { n: env.view.now.n, ghost: env.view.ghost.n, draws: ++draws });
  }
  function recolour() {
    root.dataset.theme = isDark() ? "dark" : "light";
    env.colours = palette(root);
    plots.forEach((p) => p.redraw());
  }

  root.append(head.node, lost, cards.node, axis, grid);
  grid.append(...plots.map((p) => p.node));
  el.append(root);
  try { st.snapshot(model.get("snapshot")); } catch { /* an old or cut snapshot: wait for the kernel */ }
  recolour();
  schedule();
  const undo = [
    listen(model, st, schedule, (gone) => {
      lost.hidden = !gone;
      const how = "If it was restarted, run this cell again; what you see is what came last.";
      put(lost, gone ? `The kernel does not answer. ${how}` : "");
    }),
    watchTheme(() => requestAnimationFrame(recolour)),       // a frame later the new style sheet is in force
    guardKeys(root),
  ];
  const size = new ResizeObserver(() => plots.forEach((p) => p.resize()));
  size.observe(root);
  // Only now may the element be in the page; the forms beside the board need the guard as well.
  const late = requestAnimationFrame(() => {
    const output = root.closest(".jp-OutputArea-output");
    if (output) undo.push(guardKeys(output));
    recolour();
    plots.forEach((p) => p.resize());
  });
  return () => {
    [frame, late, pointing].forEach(cancelAnimationFrame);
    size.disconnect();
    undo.forEach((f) => f());
    head.destroy();
    plots.forEach((p) => p.destroy());
    root.remove();
  };
}

export default { render };
