// The clients of an experiment: bars that say who holds what, boxes that say who takes part and who lies.
// The kernel sends all that is shown as one trait; rows are made once and then only changed where they differ.

const SEEN_AT_ONCE = 12;                 // more clients than this are drawn above the table as well
const SEEN = 16, REST = 150;             // rows of the table in view, at most; ms after which the others follow
const LONGEST = 24;                      // letters of a client's name in the table; the rest is in its title
const count = new Intl.NumberFormat("en").format;
const percent = (share) => `${share > 0 && share < 0.01 ? "<1" : Math.round(100 * share)} %`;

function tag(name, props = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (key in node && key !== "list") node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

// Plain keys are the table's: the notebook would take b for a new cell and d d for deleting this one.
function guardKeys(node) {
  node.addEventListener("keydown", (e) => {
    if (!e.ctrlKey && !e.metaKey && !e.altKey && e.key !== "Escape") e.stopPropagation();
  });
}

const FLAG = '<svg viewBox="0 0 12 14" aria-hidden="true"><path d="M1 0h2v1h9l-2 4 2 4H3v5H1z"/></svg>';
const HEADS = [   // name, what is sorted by it, term behind its "?", class
  ["client", "client"],
  ["takes part", null, "takes part"],
  ["liar", null, "liar"],
  ["rows", "rows"],
  ["", null, null, "flc-held"],
  ["hetero\u00adgeneity", "heterogeneity", "heterogeneity", "flc-n"],
  ["accuracy", "accuracy", null, "flc-n"],
];

// ---- a row -------------------------------------------------------------------------------------------------------

function makeRow(press) {
  const row = { was: "", id: -1 };
  const box = (op) => {
    const input = tag("input", { type: "checkbox" });
    input.addEventListener("change", () => press({ op, client: row.id, on: input.checked }, input));
    input.dataset.op = op;
    return input;
  };
  row.name = tag("th", { scope: "row" });
  row.part = box("part");
  row.liar = box("liar");
  const flag = tag("span", { className: "flc-flag", ariaHidden: "true" });
  flag.innerHTML = `${FLAG}<span class="flc-long">lies</span>`;
  row.bar = tag("div", { className: "flc-rows" });
  row.size = tag("span");
  row.labels = makeMix();
  row.groups = makeMix();
  row.apart = tag("td", { className: "flc-n" });
  row.read = tag("td", { className: "flc-n" });
  row.node = tag("tr", {}, row.name,
    tag("td", { className: "flc-tick" }, tag("label", {}, row.part)),
    tag("td", { className: "flc-tick" }, tag("label", {}, row.liar, flag)),
    tag("td", { className: "flc-size" }, row.bar, row.size),
    tag("td", { className: "flc-held" }, tag("div", { className: "flc-mixes" }, row.labels, row.groups)),
    row.apart, row.read);
  return row;
}

function makeMix() {
  return tag("div", { className: "flc-mix", role: "img" });
}

const worded = (n, all, name) => `${name} ${count(n)} (${percent(n / all)})`;

// One bar of all of a client's rows, cut by label or by group. A gradient: a box for each piece would take too long.
function drawMix(mix, counts, names) {
  mix.hidden = !names.length;
  const all = counts.reduce((a, b) => a + b, 0) || 1, said = [], stops = [];
  let from = 0;
  counts.forEach((n, j) => {
    if (!n) return;
    const to = from + 100 * n / all, at = `${to.toFixed(2)}%`;
    stops.push(`${names[j][1]} ${from.toFixed(2)}% calc(${at} - 1px)`, `transparent calc(${at} - 1px) ${at}`);
    said.push(worded(n, all, names[j][0]));
    from = to;
  });
  mix.style.backgroundImage = stops.length ? `linear-gradient(to right, ${stops.join()})` : "none";
  mix.ariaLabel = said.join(", ");
  mix.pieces = counts.map((n, j) => [n / all, worded(n, all, names[j][0])]);
}

// What the piece under the mouse is.
function nameMix(e) {
  const mix = e.target.closest(".flc-mix");
  if (!mix) return;
  const at = mix.getBoundingClientRect();
  let share = (e.clientX - at.left) / at.width;
  const piece = mix.pieces.find(([part]) => (share -= part) <= 0);
  const text = piece ? `client ${mix.closest("tr").dataset.client}: ${piece[1]}` : "";
  if (mix.title !== text) mix.title = text;
}

function drawRow(row, values, name, t, names, waits) {
  const [id, size, apart, part, liar, accuracy, labels, groups] = values;
  const called = name ? `${id} ${name}` : `${id}`;   // the number is what code and plots of parts go by
  const boxes = [[row.part, part, t.partOpen, "takes part"], [row.liar, liar, t.lieOpen, "lies"]];
  for (const [input, on, open, what] of boxes) {
    if (!waits.has(`${input.dataset.op} ${id}`)) input.checked = on;   // else a tick of the user's is on its way
    input.disabled = !open;
    if (row.called !== called) input.ariaLabel = `client ${called} ${what}`;
  }
  row.node.classList.toggle("flc-out", !part);
  row.node.classList.toggle("flc-lies", liar);
  const drawn = `${values} ${called} ${t.top} ${names}`;
  if (drawn === row.was) return;
  row.was = drawn;
  row.id = id;
  row.called = called;
  row.node.dataset.client = called;
  row.name.replaceChildren(tag("span", { className: "flc-long", textContent: "client " }),
    called.length > LONGEST ? `${called.slice(0, LONGEST)}…` : called);
  row.name.title = name || "";
  row.size.textContent = count(size);
  row.bar.style.width = `calc(${size / (t.top || 1)} * (100% - 12px))`;
  drawMix(row.labels, labels, t.labels);
  drawMix(row.groups, groups, t.groups);
  row.apart.textContent = apart === null ? "–" : apart.toFixed(2);
  row.read.textContent = accuracy === null ? "–" : `${(100 * accuracy).toFixed(1)} %`;
  row.read.title = accuracy === null ? "" : `of its held-out rows, a fifth of ${count(size)}`;
}

// ---- the clients as columns --------------------------------------------------------------------------------------

function drawMap(map, t) {
  const kinds = [["label", 6, t.labels], ["group", 7, t.groups]].filter(([, , names]) => names.length);
  map.hidden = t.rows.length <= SEEN_AT_ONCE;
  if (map.hidden) return;
  const drawn = kinds.map(([kind, at, names]) => {
    const base = t.rows.map(() => 0), wide = t.rows.length > 80 ? 1 : 0.86;
    const paths = names.map(([, colour], j) => {
      const d = t.rows.map((row, i) => {
        const tall = row[at][j] / (t.top || 1), low = (base[i] += tall);
        return tall ? `M${i} ${(1 - low).toFixed(4)}h${wide}v${tall.toFixed(4)}h-${wide}z` : "";
      });
      return `<path fill="${colour}" d="${d.join("")}"/>`;
    });
    return `<figure><figcaption>rows of each client by ${kind}</figcaption><svg viewBox="0 0 ${t.rows.length} 1"
      preserveAspectRatio="none" role="img" aria-label="Columns: rows of each client by ${kind}; the numbers are in the
      table"><title></title>${paths.join("")}</svg></figure>`;
  }).join("");
  if (drawn !== map.drawn) map.innerHTML = map.drawn = drawn;
}

// ---- all of it ---------------------------------------------------------------------------------------------------

function render({ model, el }) {
  const me = Math.random().toString(36).slice(2);
  const waits = new Map();                // "part 3" -> the id of the message that says so
  let sent = 0, frame = 0, rest = 0, open = null, rows = [];

  const send = (message) => {
    const id = `${me} ${++sent}`;
    model.send({ ...message, id });
    return id;
  };
  const press = (message) => waits.set(`${message.op} ${message.client}`, send(message));
  const p = (name, props = {}) => tag("p", { className: `flc-${name}`, ...props });
  const holds = p("holds"), keys = tag("div", { className: "flc-keys" });
  const said = p("said", { role: "status" }), chosen = p("chosen", { role: "status" });
  const closed = p("closed"), more = p("more");
  const map = tag("div", { className: "flc-map" }), help = tag("div", { className: "flc-help", hidden: true });
  help.id = `flc-${me}`;
  const button = (text, act) => {
    const b = tag("button", { type: "button", textContent: text });
    b.addEventListener("click", act);
    return b;
  };
  const everyone = button("all take part", () => send({ op: "everyone" }));
  const nobody = button("nobody lies", () => send({ op: "nobody" }));
  const numbers = button("show numbers", () => {
    numbers.ariaPressed = String(root.classList.toggle("flc-numbers"));
  });
  numbers.ariaPressed = "false";

  const heads = HEADS.map(([text, by, term, name = ""]) => {
    const label = tag(by ? "button" : "span", { className: by ? "flc-sort" : "", textContent: text });
    const inner = tag("span", { className: name === "flc-held" ? "flc-mixes" : "flc-head" }, label);
    const th = tag("th", { scope: "col", className: name }, inner);
    if (by) label.addEventListener("click", () => sort(by));
    if (term) {
      const why = button("?", () => explain(open === term ? null : term));
      Object.assign(why, { className: "flc-why", title: `what is ${term}?`, ariaLabel: `what is ${term}?`,
        ariaExpanded: "false" });
      why.setAttribute("aria-controls", help.id);
      why.dataset.term = term;
      inner.append(why);
    }
    return { th, by, label };
  });
  const groups = tag("div", { textContent: "groups" });
  heads[4].label.replaceWith(tag("div", { textContent: "labels" }), groups);
  const body = tag("tbody"), caption = tag("caption");
  const table = tag("table", {}, caption, tag("thead", {}, tag("tr", {}, ...heads.map((h) => h.th))), body);
  const box = tag("div", { className: "flc-box", role: "region", tabIndex: 0, ariaLabel: "Clients" }, table);
  const bar = tag("div", { className: "flc-bar" }, chosen, everyone, nobody, numbers);
  const root = tag("div", { className: "flc" }, holds, keys, map, bar, said, closed, help, box, more);

  function sort(by) {
    const [now, down] = model.get("table").sort;
    send({ op: "sort", by, down: by === now ? !down : by === "rows" || by === "heterogeneity" });
  }
  function explain(term) {
    open = term;
    help.hidden = !term;
    help.replaceChildren();
    if (term) {
      const [sentence, example, lesson] = model.get("help")[term];
      for (const [head, text] of [["", sentence], ["Example: ", example], ["Try: ", lesson]]) {
        help.append(tag("p", {}, tag("b", { textContent: head }), text));
      }
    }
    root.querySelectorAll(".flc-why").forEach((b) => { b.ariaExpanded = String(b.dataset.term === term); });
  }
  const show = (node, text) => { if (node.textContent !== text) node.textContent = text; };

  function draw() {
    frame = 0;
    const t = model.get("table");
    if (!t.rows) return;
    box.hidden = bar.hidden = !t.rows.length;   // a partition that cannot be: there is only the sentence
    const above = rows.length ? Math.floor(box.scrollTop / (rows[0].node.offsetHeight || 1)) : 0;
    const first = Math.max(Math.min(above, t.rows.length - SEEN), 0);   // row in view
    if (t.answered === `${me} ${sent}`) waits.clear();
    for (const [name, node] of Object.entries({ holds, chosen, said, closed, more })) show(node, t[name]);
    show(caption, "Clients: who takes part, who lies, and the rows that each one holds");
    const key = JSON.stringify([t.labels, t.groups]);
    if (keys.dataset.key !== key) {
      keys.dataset.key = key;
      keys.replaceChildren(...[["labels", t.labels], ["groups", t.groups]].filter(([, n]) => n.length).map(
        ([kind, names]) => tag("span", {}, tag("b", { textContent: `${kind}:` }), ...names.map(
          ([name, colour]) => tag("i", { textContent: name, style: `--c:${colour}` })))));
    }
    everyone.disabled = !t.partOpen || t.everyone;
    nobody.disabled = !t.lieOpen || t.nobody;
    heads.forEach(({ th, by }) => {
      if (by) th.ariaSort = t.sort[0] === by ? (t.sort[1] ? "descending" : "ascending") : "none";
    });
    groups.hidden = !t.groups.length;
    heads[6].th.hidden = !t.read;
    while (rows.length > t.rows.length) rows.pop().node.remove();
    const drawTo = (from, to) => {
      for (let i = from; i < Math.min(to, t.rows.length); i++) {
        if (i === rows.length) body.append(rows[rows.push(makeRow(press)) - 1].node);
        drawRow(rows[i], t.rows[i], t.names[i], t, key, waits);
        rows[i].read.hidden = !t.read;
      }
    };
    drawTo(first, first + SEEN);
    clearTimeout(rest);
    body.ariaBusy = String(t.rows.length > SEEN);
    if (t.rows.length > SEEN) {   // what cannot be seen would take four fifths of the time: it follows at rest
      rest = setTimeout(() => { drawTo(0, Infinity); body.ariaBusy = "false"; }, REST);
    }
    drawMap(map, t);
    root.dataset.answered = t.answered;
    root.dataset.draws = 1 + (+root.dataset.draws || 0);
  }
  const later = () => { frame = frame || requestAnimationFrame(draw); };

  // Up and down go from box to box of a column; Escape closes what "?" opened.
  root.addEventListener("keydown", (e) => {
    if (e.key === "Escape" && open) {
      const term = open;
      explain(null);
      root.querySelector(`.flc-why[data-term="${term}"]`).focus();
    }
    const step = { ArrowUp: -1, ArrowDown: 1 }[e.key], op = e.target.dataset.op;
    if (!step || !op || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    const at = rows.findIndex((row) => row.node.contains(e.target)) + step;
    if (rows[at]) rows[at][op].focus();
  });
  const columnAt = (e) => {
    const svg = e.target.closest("svg"), at = svg && svg.getBoundingClientRect();
    return svg ? rows[Math.min(rows.length - 1, Math.floor((e.clientX - at.left) / at.width * rows.length))] : null;
  };
  body.addEventListener("mousemove", nameMix);
  map.addEventListener("mousemove", (e) => {
    const row = columnAt(e);
    if (row) show(e.target.closest("svg").querySelector("title"), `client ${row.called}: ${row.labels.ariaLabel}`);
  });
  map.addEventListener("click", (e) => {
    const row = columnAt(e);
    if (!row) return;
    box.scrollTop = row.node.offsetTop - box.clientHeight / 2;
    rows.forEach((other) => other.node.classList.toggle("flc-found", other === row));
  });

  guardKeys(root);
  el.append(root);
  model.on("change:table", later);
  draw();
  return () => {
    cancelAnimationFrame(frame);
    clearTimeout(rest);
    model.off("change:table", later);
    root.remove();
  };
}

export default { render };
