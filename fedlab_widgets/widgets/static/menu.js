// A native select, so that keyboards, screen readers, phones and the dark theme know it; its classes are those of
// ipywidgets' dropdown, so that it looks like the controls beside it.
function render({ model, el }) {
  const label = document.createElement("label"), select = document.createElement("select");
  label.className = "widget-label";
  label.htmlFor = select.id = "fl-menu-" + Math.random().toString(36).slice(2);
  el.classList.add("jupyter-widgets", "widget-inline-hbox", "widget-dropdown");
  el.append(label, select);

  // Options with one group after the other; "" stands outside of any.
  const fill = (labels, groups) => {
    const within = [];
    labels.forEach((text, i) => {
      const group = groups[i] || "";
      if (!i || group !== (groups[i - 1] || "")) {
        const box = group ? document.createElement("optgroup") : document.createDocumentFragment();
        if (group) box.label = group;
        within.push(box);
      }
      within.at(-1).append(document.createElement("option"));
    });
    select.replaceChildren(...within);
  };
  // What has not changed is left alone: a list that is open would close.
  const set = (node, name, value) => { if (node[name] !== value) node[name] = value; };
  let shape;
  const draw = () => {
    const labels = model.get("_options_labels"), groups = model.get("groups"), marks = model.get("marks");
    const now = JSON.stringify([labels, groups]);
    if (now !== shape) fill(labels, groups);
    shape = now;
    labels.forEach((text, i) => {
      const { note = "", off = false, why = "" } = marks[i] || {};
      set(select.options[i], "textContent", note ? `${text} (${note})` : text);
      set(select.options[i], "disabled", off);
      set(select.options[i], "title", why);
    });
    set(select, "selectedIndex", model.get("index") ?? -1);
    set(select, "disabled", model.get("disabled"));
    set(label, "textContent", model.get("description"));
    set(label, "title", model.get("description"));
  };
  select.addEventListener("change", () => { model.set("index", select.selectedIndex); model.save_changes(); });
  model.on("change", draw);
  draw();
  return () => model.off("change", draw);
}
export default { render };
