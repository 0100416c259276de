// The three plots: what each draws on the canvas, says in words and lists in its table.

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
  g.lineWidth = width * zoom * dpr();
  g.setLineDash(dash.map((d) => d * dpr()));
  path(u, g, xs, ys);
  g.stroke();
  g.setLineDash([]);
}

// A halo of the card's colour keeps the words readable over lines.
function words(g, text, x, y, colour, plate, align = "left") {
  const r = dpr();
  g.font = fontOf(r);
  g.textAlign = align;
  g.textBaseline = "middle";
  g.strokeStyle = plate;
  g.lineJoin = "round";
  g.lineWidth = 4 * zoom * r;
  g.strokeText(text, x, y);
  g.fillStyle = colour;
  g.fillText(text, x, y);
}

// A place [left, middle, price] for each label {wide, places}: few points of lines in the boxes, no two boxes meet.
// Lines are [x, y] lists on the canvas, their points close together.
function freest(labels, tall, lines) {
  const crossed = (wide, [left, y]) => lines.reduce((n, [xs, ys]) => n + xs.filter((x, i) =>
    x > left - tall / 4 && x < left + wide + tall / 4 && Math.abs(ys[i] - y) < tall / 2).length, 0);
  const meet = ([l1, y1], w1, [l2, y2], w2) => l1 < l2 + w2 && l2 < l1 + w1 && Math.abs(y1 - y2) < tall;
  let found = [{ cost: 0, at: [] }];
  labels.forEach(({ wide, places }, k) => {
    const costs = places.map((place) => crossed(wide, place) + (place[2] || 0));
    found = found.flatMap(({ cost, at }) => places.map((place, i) => ({ at: [...at, place],
      cost: cost + costs[i] + (at.some((other, j) => j < k && meet(other, labels[j].wide, place, wide)) ? 1e4 : 0) })));
  });
  return found.reduce((a, b) => (b.cost < a.cost ? b : a)).at;
}

function wideOf(g, text) {
  g.font = fontOf(dpr());
  return g.measureText(text).width;
}
const fontOf = (r) => `500 ${12 * zoom * r}px system-ui, sans-serif`;

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

// The grey run by its name and, in brackets, by what it had elsewhere.
function before(st, env, of = "x", more = "") {
  if (lastKnown(env.view.ghost[of]) < 0) return [];
  const was = st.run.was ? ` (${st.run.was})` : "";
  return [[`run before${more}: ${st.ghost.title}${was}`, "ghost", 2, "3 3"]];
}
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
      const v = env.view, r = dpr(), b = u.bbox, tall = 15 * zoom * r, labels = [];
      const beside = (x, y, d) => [x, y + d * zoom * r, Math.abs(d) / 8];
      const fits = ([, y]) => y > b.top + tall / 2 && y < b.top + b.height - tall / 2;
      const add = (text, colour, places) => {
        if (places.some(fits)) labels.push({ text, colour, wide: wideOf(g, text), places: places.filter(fits) });
      };
      const curves = [...data(v).map((ys) => dense(u, v.now.x, ys)), dense(u, v.ghost.x, v.ghost.accuracy)];
      const level = known(st.run.majority) ? u.valToPos(st.run.majority, "y", true) : null;
      const worst = worstLine(u, g);
      if (worst) {
        const [x, y, text] = worst, wide = wideOf(g, text), last = b.left + b.width - 6 * r - wide;
        const near = [15, -15, 28, -28, 42, -42].map((d) => beside(Math.min(x + 9 * r, last), y, d));
        add(text, p().label, [...(x + 9 * r <= last ? [[x + 9 * r, y]] : []), ...near]);
        curves.push([Array(20).fill(x), Array(20).fill(y)]);   // the dot is not to be hidden
      }
      if (level !== null) {
        const text = `always guessing: ${percent(st.run.majority)}`, wide = wideOf(g, text);
        const across = [b.left + b.width - wide - 6 * r, b.left + (b.width - wide) / 2, b.left + 6 * r];
        add(text, p().soft, across.flatMap((x) => [-10, 10, -26, 26].map((d) => beside(x, level, d))));
        curves.push(dense(u, [u.scales.x.min, u.scales.x.max], [st.run.majority, st.run.majority]));
      }
      freest(labels, tall, curves).forEach(([x, y], k) => words(g, labels[k].text, x, y, labels[k].colour, p().card));
    });
  }
  // A curve as points on the canvas about four pixels apart, so that the crowd at a place can be counted.
  function dense(u, xs, ys) {
    const px = [], py = [];
    const every = Math.ceil(xs.length / 300);                      // a few hundred of 10 000 rounds tell as much
    let last = null;
    xs.forEach((x, i) => {
      if (!known(ys[i]) || i % every) return;
      const now = [u.valToPos(x, "x", true), u.valToPos(ys[i], "y", true)];
      const steps = last ? Math.max(Math.round(Math.hypot(now[0] - last[0], now[1] - last[1]) / (4 * dpr())), 1) : 1;
      for (let k = 1; k <= steps; k++) {
        px.push(last ? last[0] + (now[0] - last[0]) * k / steps : now[0]);
        py.push(last ? last[1] + (now[1] - last[1]) * k / steps : now[1]);
      }
      last = now;
    });
    return [px, py];
  }
  // Draws who is worst now; where its line ends, and what is to be written there.
  function worstLine(u, g) {
    const v = env.view, w = worstAt();
    const ys = w < 0 ? [] : (v.now.clients[w] || v.now.worst_client), i = lastKnown(ys);
    if (i < 0) return null;
    if (v.now.clients[w]) line(u, g, v.now.x, ys, p().vermillion, 2, []);
    const x = u.valToPos(v.now.x[i], "x", true), y = u.valToPos(ys[i], "y", true);
    g.fillStyle = p().vermillion;
    g.beginPath();
    g.arc(x, y, 3.5 * dpr(), 0, 7);
    g.fill();
    return [x, y, `worst: ${st.clientWords(w)}`];
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
      [many(st) ? "worst client of each round" : "worst client now", "vermillion", 2, ""],
      ["always the commonest label", "soft", 1.5, "7 3"], ...before(st, env)],
    read: (v, i) => {
      const w = v.now.worst_at[i], was = ghostAt(v, "accuracy", v.now.round[i]);
      if (!known(v.now.accuracy[i]) && !known(v.now.mean_client[i])) return "Accuracy was not read after this round.";
      return `${st.run.own ? "Clients' own models are, on average," : "The model is"} right on ${percent(v.now.accuracy[i])} of the test rows; `
        + `mean client ${percent(v.now.mean_client[i])}`
        + `; worst ${known(w) ? `${st.clientName(w)} with ` : "client "}${percent(v.now.worst_client[i])}`
        + `, best ${percent(v.now.best_client[i])}`
        + (known(was) ? `. Run before: ${percent(was)}.` : ".");
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
    const [, high] = extent([env.view.now.top, env.view.ghost.top, ...Object.values(chance(env.view))]);
    return [0, high > 0 ? 1.12 * high : 0.01];
  }
  function over(u) {
    const v = env.view, r = dpr(), g = u.ctx;
    const tops = chance(v), tint = { redundant: "orange", unique: "blue", masked: "purple" };
    inside(u, () => {
      for (const edge of ["low", "mid", "top"]) {
        line(u, g, v.ghost.x, v.ghost[edge], p().card, 3, []);   // a light path keeps the grey line clear of patterns
        line(u, g, v.ghost.x, v.ghost[edge], p().ghost, 1.5, [4, 4]);
      }
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
    return [red, uni, mask].every(known) ? ` Run before: global ${bits(red + uni)}, local ${bits(uni + mask)}.` : "";
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
      ["redundant", "orange", 0, "", "rise"], ...before(st, env, "top", ", the same three edges")],
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
      ...before(st, env)],
    read: (v, i) => {
      const told = sent(v.now.up[i], v.now.down[i]);
      return `So far ${told.up} up and ${told.down} down, together ${told.sum} in ${plain(v.now.seconds[i], 1)} s.`;
    },
    note: () => "",
    head: () => ["up, so far", "down, so far", "seconds"],
    cells: (v, i) => [amount(v.now.up[i]), amount(v.now.down[i]), plain(v.now.seconds[i], 2)],
    empty: () => "",
  };
}
