// The board's page half. uPlot (MIT, see uplot/LICENSE), store.js and plots.js stand in front of this file in one
// module: no network. Plots are drawn from the store once an animation frame; everything else is words.

// ---- "?" -----------------------------------------------------------------------------------------------------------

// The words are the glossary's, written in Python: no text of a user's is among them.
function makeWhy(name, told) {
  const id = `flb-${++serial}`, text = tag("div", { class: "flb-help", id, hidden: "" });
  const button = tag("button", { type: "button", class: "flb-why", "aria-expanded": "false", "aria-controls": id,
    "aria-label": `what is ${name}?`, title: `what is ${name}?` }, "?");
  button.addEventListener("click", () => {
    text.hidden = !text.hidden;
    text.innerHTML = text.hidden ? "" : told || "";
    button.setAttribute("aria-expanded", String(!text.hidden));
  });
  return { button, text };
}

// ---- one plot on the page ----------------------------------------------------------------------------------------

function makePlot(kind, st, env, group, told) {
  const id = `flb-${++serial}`, why = makeWhy(kind.title, told[kind.key]);
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
    tag("header", {}, tag("h4", {}, kind.title), button, why.button), box, none, legend, read, note, rows, why.text);
  let u = null, built = "", listed = 0, key = "";

  function options() {
    const axis = { stroke: () => env.colours.soft, grid: { stroke: () => env.colours.grid, width: 1 },
      ticks: { stroke: () => env.colours.grid, width: 1, size: 5 }, font: `${12 * zoom}px system-ui, sans-serif` };
    return {
      width: Math.max(box.clientWidth, NARROWEST), height: HEIGHT, legend: { show: false },
      padding: [8, kind.gutter || 12, 0, 0],
      cursor: { drag: { x: false, y: false }, sync: { key: group }, points: { size: 6 } },
      scales: { x: { time: false, range: () => axisRange(st, env.view) }, y: { range: () => kind.range() } },
      axes: [{ ...axis, size: 26 * zoom, space: 46, label: AXES[env.axis], labelSize: 16 * zoom,
        labelFont: `${12 * zoom}px system-ui, sans-serif`, labelGap: 0,
        values: (_, ticks) => ticks.map((t) => (env.axis === "rounds" && t % 1 ? "" : axisMb(t))) },
      { ...axis, size: 58 * zoom, space: 30, values: (_, ticks) => ticks.map(kind.ticks) }],
      series: [{}, ...kind.series().map((s) => ({ spanGaps: true,
        points: { show: env.view.now.n === 1 && s.width > 0 }, ...s, width: zoom * s.width }))],
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
      const width = Math.max(box.clientWidth, NARROWEST);
      if (u && box.clientWidth > 0 && u.width !== width) u.setSize({ width, height: HEIGHT });
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
  return /[1-9]/.test(text) ? `${text} against the run before` : "as in the run before";
}

function makeCards(told) {
  const list = tag("ul", { class: "flb-cards", "aria-label": "Headline numbers" }), cards = {};
  const why = makeWhy("headline numbers", told), node = tag("div", { class: "flb-row" }, list, why.button, why.text);
  const titles = { accuracy: "Test accuracy", worst: "Worst client", sent: "Sent so far", epsilon: "Privacy spent" };
  for (const [key, title] of Object.entries(titles)) {
    const parts = ["flb-big", "flb-sub", "flb-sub flb-diff"].map((cls) => tag("span", { class: cls }));
    const name = tag("span", { class: "flb-sub" }, title);
    cards[key] = { box: tag("li", { class: "flb-card", "data-card": key }, name, ...parts), parts };
    list.append(cards[key].box);
  }
  const set = (key, ...texts) => texts.forEach((text, k) => put(cards[key].parts[k], text || ""));
  // Against the run before at the same round; without one, nothing is compared.
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
        ? `${overGuessing(acc - st.run.majority)} (${percent(st.run.majority)})` : "",
      against(v, "accuracy", a, acc, points));
      const who = w < 0 ? null : v.now.worst_at[w];
      set("worst", percent(worst), known(who) ? st.clientWords(who) : "", against(v, "worst_client", w, worst, points));
      const up = n < 0 ? 0 : v.now.up[n], down = n < 0 ? 0 : v.now.down[n];
      const told = sent(up, down);
      v.ghost.sent = v.ghost.up.map((s, i) => s + v.ghost.down[i]);
      set("sent", n < 0 ? "–" : told.sum, n < 0 ? "" : `${told.up} up, ${told.down} down`,
        against(v, "sent", n, up + down, (d) => (d > 0 ? "+" : "") + amount(d)));
      cards.epsilon.box.hidden = !st.run.private;
      set("epsilon", e < 0 ? "–" : `ε = ${plain(v.now.epsilon[e], 2)}`,
        `of ${st.run.covers || "the released model"}; the figures of single clients shown here are outside it`,
        e < 0 ? "" : against(v, "epsilon", e, v.now.epsilon[e], (d) => signed(d, 2)));
    },
  };
}

function makeHead() {
  const title = tag("h3"), state = tag("span", { class: "flb-state" }), text = tag("span", { class: "flb-text" });
  const against = tag("p", { class: "flb-note", "data-against": "" });
  const bar = tag("progress", { max: "1", value: "0", "aria-label": "Progress of the run" }), left = tag("span");
  const status = tag("p", { class: "flb-sr", role: "status" });
  let said = 0, timer = 0;
  const node = tag("div", {}, tag("div", { class: "flb-head" }, title, state, text),
    tag("div", { class: "flb-bar" }, bar, left), against, status);
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
    put(against, st.other ? `The run before used other data (${st.other}), so it is not drawn.`
      : v.ghost.n && run.says ? `Against the run before: ${run.says}.` : "");
    bar.value = say.done;
    const of = run.rounds ? `round ${at} of ${run.rounds}` : "";
    const rest = known(say.left) && LIVE.includes(say.state) ? `about ${span(say.left)} left` : "";
    put(left, [of, rest].filter(Boolean).join(", "));
    bar.setAttribute("aria-valuetext", left.textContent || say.text || "nothing has run yet");
    const a = lastKnown(v.now.accuracy), w = lastKnown(v.now.worst_client);
    announce([`${say.state}.`, of && `${of[0].toUpperCase()}${of.slice(1)}.`,
      a >= 0 ? `Test accuracy${st.run.own ? " of clients' own models" : ""} ${percent(v.now.accuracy[a])}.` : "",
      w >= 0 ? `Worst client ${percent(v.now.worst_client[w])}.` : "",
        n ? `${sent(v.now.up[n - 1], v.now.down[n - 1]).sum} sent.` : ""]
      .filter(Boolean).join(" "));
  }
  return { node, draw, destroy: () => clearTimeout(timer) };
}

function makeAxis(change, told) {
  const name = `flb-axis-${++serial}`, seg = tag("span", { class: "flb-seg" });
  for (const [value, text] of Object.entries(AXES)) {
    const input = tag("input", { type: "radio", name, value });
    input.checked = value === "rounds";
    input.addEventListener("change", () => change(value));
    seg.append(tag("label", {}, input, text));
  }
  const why = makeWhy("horizontal axis", told);
  return tag("div", { class: "flb-row" },
    tag("fieldset", { class: "flb-axis" }, tag("legend", {}, "Horizontal axis"), seg), why.button, why.text);
}

// ---- the widget --------------------------------------------------------------------------------------------------

function render({ model, el }) {
  const st = makeStore(), root = tag("section", { class: "flb", "aria-label": "Live results" });
  const env = { axis: "rounds", view: viewOf(st, "rounds"), colours: null, at: null, pointed: null };
  const told = model.get("told") || {}, grid = tag("div", { class: "flb-grid" });
  const head = makeHead(), cards = makeCards(told.numbers);
  const lost = tag("p", { class: "flb-lost", role: "alert", hidden: "" });
  const axis = makeAxis((value) => { env.axis = value; env.at = null; schedule(); }, told.axis);
  const group = `flb-sync-${++serial}`;
  const plots = [convergence, disparity, communication].map((kind) => makePlot(kind(st, env), st, env, group, told));
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
    zoom = parseFloat(getComputedStyle(root).getPropertyValue("--flb-zoom")) || 1;
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
