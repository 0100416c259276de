"""How the form and "?" look, and the names that ipywidgets does not give: JupyterLab's own colours, no fixed widths."""

import anywidget

# Names for what ipywidgets leaves without: the "?" is called by its title, sections say whether they are open.
NAMES = """
function render({ el }) {
  const name = (root) => {
    root.querySelectorAll("button.fl-why, button.fl-small").forEach((b) => b.setAttribute("aria-label", b.title));
    root.querySelectorAll("button.fl-why, button.fl-section").forEach(
      (b) => b.setAttribute("aria-expanded", b.classList.contains("fl-is-open")));
    root.querySelectorAll(".widget-toggle-buttons").forEach((g) => {
      g.setAttribute("role", "group");
      g.setAttribute("aria-label", g.querySelector(".widget-label")?.textContent || "");
    });
    root.querySelectorAll(".fl-field :is(input:not([type=radio]), select)").forEach((i) =>
      i.closest(".fl-bad") ? i.setAttribute("aria-invalid", "true") : i.removeAttribute("aria-invalid"));
  };
  // Plain keys are the form's: the notebook would take b for a new cell and d d for deleting this one.
  const keep = (e) => { if (!e.ctrlKey && !e.metaKey && !e.altKey && !e.shiftKey) e.stopPropagation(); };
  // Escape closes a "?": the one whose box the focus is in, else the one that was opened last.
  let last = null;
  const opened = (e) => { last = e.target.closest("button.fl-why") || last; };
  const escape = (e) => {
    if (e.key !== "Escape" || e.defaultPrevented) return;
    const whole = e.currentTarget.closest(".fedlab-lab") || e.currentTarget;
    const open = [...whole.querySelectorAll("button.fl-why.fl-is-open")];
    const why = open.findLast((b) => b.parentElement.contains(e.target)) || open.find((b) => b === last) || open.at(-1);
    if (!why) return;
    e.preventDefault();
    why.click();
    why.focus();
  };
  let seen, gone = false;
  const wait = () => {
    const root = el.isConnected && el.parentElement.closest(".widget-box");
    if (gone) return;
    if (!root) return requestAnimationFrame(wait);
    const ours = ({ target }) => !target.closest(".flb");   // the board changes ten times a second and names itself
    seen = new MutationObserver((changes) => { if (changes.some(ours)) name(root); });
    seen.observe(root, { childList: true, subtree: true, attributes: true, attributeFilter: ["class", "title"] });
    root.addEventListener("keydown", escape);
    root.addEventListener("keydown", keep);
    root.addEventListener("click", opened);
    name(root);
  };
  wait();
  return () => { gone = true; if (seen) seen.disconnect(); };
}
export default { render };
"""

STYLE = """
button.fl-why.fl-why { width: 26px; min-width: 26px; height: auto; min-height: 26px; padding: 0; border-radius: 50%;
  border: 1px solid var(--jp-border-color1); background: var(--jp-layout-color2); color: var(--jp-ui-font-color1);
  font-weight: 600; line-height: 1.3; }
button.fl-why.fl-is-open { background: var(--jp-brand-color1); color: var(--jp-ui-inverse-font-color1); }
button.fl-why:focus-visible { outline: 2px solid var(--jp-brand-color1); outline-offset: 1px; }
.fl-help { background: var(--jp-layout-color2); border-left: 3px solid var(--jp-brand-color1); padding: 4px 10px;
  max-width: 46rem; height: auto; color: var(--jp-content-font-color1); }
.fl-help .widget-html-content { line-height: 1.4; height: auto; }
.fl-help p { margin: 4px 0; overflow-wrap: anywhere; }
.fl-help b { font-weight: 600; }
.fl-explained { display: grid; grid-template-columns: minmax(0, max-content) auto 1fr; gap: 3px 6px;
  align-items: center; overflow: visible; margin: 0; min-width: 0; }
.fl-explained > * { margin: 0; min-width: 0; max-width: 100%; }
.fl-explained > .fl-help { grid-column: 1 / -1; }
.fl-slider input { width: 100%; margin: 0; accent-color: var(--jp-brand-color1); }
.fl-heading h3 { font-size: 1.15em; font-weight: 600; margin: 0; line-height: 1.4; }
.fl-what-if { container-type: inline-size; color: var(--jp-content-font-color1); gap: 6px; }
.fl-what-if > * { margin: 0; max-width: 100%; }
.fl-what-if .fl-fair { background: none; --ground: var(--jp-layout-color1); }
.fl-what-if :is(.fl-hint, .fl-pinned, p) { margin: 0; line-height: 1.4; max-width: 46rem; }
.fl-what-if .fl-pinned { font-weight: 600; }
.fl-what-if > .fl-explained:has(> .fl-heading):not(:first-child) { margin-top: 10px; }
.fl-what-if .widget-html, .fl-what-if .widget-html-content { min-width: 0; max-width: 100%; height: auto; }
.fl-strength { display: flex; flex-wrap: wrap; gap: 2px 12px; align-items: center; overflow: visible; }
.fl-strength > * { margin: 0; max-width: 100%; min-width: 0; }
.fl-strength > .fl-slider { flex: 1 1 14rem; }
.fl-what-if .jupyter-button:not(.fl-why), .fedlab-lab .jupyter-button:not(.fl-why, .fl-section) {
  height: auto; max-width: 100%; min-height: var(--jp-widgets-inline-height); line-height: 1.3; padding: 4px 10px;
  white-space: normal; overflow-wrap: anywhere; }
.fedlab-lab .widget-html-content { line-height: 1.4; height: auto; }
:is(.fedlab-lab, .fl-what-if, .fl-form) :is(button, input, select, .lm-TabBar) { font-family: inherit; }
[data-jp-theme-light="false"] :is(.fedlab-lab, .fl-what-if, .fl-form) { color-scheme: dark; }
/* The arrow of ipywidgets is black, in the dark as well. */
[data-jp-theme-light="false"] :is(.fedlab-lab, .fl-what-if, .fl-form) .widget-dropdown > select {
  background-image: url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E%3Cpath \
fill='%23ddd' d='M5.2 5.9 9 9.7l3.8-3.8L14 7.1l-4.9 5-4.9-5z'/%3E%3C/svg%3E"); }
:is(.fedlab-lab, .fl-what-if) .widget-inline-hbox { flex-wrap: wrap; height: auto; max-width: 100%; }
:is(.fedlab-lab, .fl-what-if) .widget-inline-hbox > :is(select, input) { min-width: 4rem; max-width: 100%; }
.fedlab-run-bar .widget-inline-hbox { width: max-content; }
.fedlab-run-bar .widget-dropdown > select { height: 28px; min-height: 28px; max-width: 16em; }
.fedlab-run-bar .widget-inline-hbox > * { width: auto; flex: 0 1 auto; }
.fedlab-lab .widget-tab-contents { padding: 8px clamp(0px, 2%, 14px); }
.fl-what-if .widget-toggle-buttons { height: auto; flex-wrap: wrap; max-width: 100%; }
.fl-what-if .widget-toggle-buttons > .widget-toggle-button { max-width: 100%; }
.fl-form { container-type: inline-size; width: 100%; max-width: 46rem; color: var(--jp-content-font-color1); }
.fl-form .widget-box { margin: 0; }
.fl-form .fl-field { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 3px 6px; align-items: center;
  overflow: visible; margin: 5px 0 0; }
.fl-form .fl-field > * { margin: 0; }
.fl-form .widget-dropdown { height: auto; }
.fl-form .widget-dropdown > select { height: 28px; min-height: 28px; }
.fl-form .widget-checkbox { padding-left: 10.5em; height: auto; min-height: 26px; }
.fl-form .widget-checkbox .widget-label-basic { width: auto; flex: 1 1 auto; white-space: normal; }
.fl-form .fl-slot > .fl-nest > .widget-html { padding-left: 0; }
.fl-form .fl-field > .fl-slider { grid-column: 1 / -1; padding-left: 10.5em; }
.fl-form .fl-field > .fl-help, .fl-form .fl-field > .fl-wrong, .fl-form .fl-field > .fl-small { grid-column: 1 / -1; }
.fl-form .fl-field > .fl-small { justify-self: start; }
.fl-form .widget-label { width: 10em; flex: 0 0 10em; text-align: left; white-space: normal; height: auto;
  line-height: 1.25; color: var(--jp-content-font-color1); }
.fl-form .widget-html-content { line-height: 1.4; }
.fl-form .widget-inline-hbox { height: auto; min-height: var(--jp-widgets-inline-height); margin: 0; }
.fl-form .fl-field > :is(.widget-text, .widget-dropdown, .widget-radio, .widget-checkbox) { width: auto; }
.fl-form .widget-radio .widget-radio-box { margin: 0 !important; }
.fl-form .widget-radio { display: flex; align-items: flex-start;
  height: auto; }
.fl-form .widget-radio-box { height: auto; }
.fl-form button { color: var(--jp-ui-font-color1); background: var(--jp-layout-color2); height: auto;
  min-height: 26px; border: 1px solid var(--jp-border-color1); border-radius: 3px; white-space: normal;
  line-height: 1.3; }
.fl-form button:focus-visible, .fl-form input:focus-visible, .fl-form select:focus-visible {
  outline: 2px solid var(--jp-brand-color1); outline-offset: 1px; }
.fl-form button.fl-small { align-self: flex-start; padding: 2px 10px; text-align: left; }
.fl-form button.fl-section { width: 100%; text-align: left; padding: 7px 10px 7px 28px; margin: 6px 0 0;
  font-weight: 600; text-indent: -18px; }
.fl-form button.fl-section::before { content: "\\25B8"; display: inline-block; width: 18px; text-indent: 0; }
.fl-form button.fl-section.fl-is-open::before { content: "\\25BE"; }
.fl-form .fl-inside { padding: 4px 0 8px 10px; overflow: visible; }
.fl-form .fl-nest { padding-left: 12px; }
.fl-form .fl-nest:empty { display: none; }
.fl-form .fl-add { margin: 4px 0 0 10.5em; }
.fl-form .fl-item { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 2px 8px; align-items: center;
  overflow: visible; margin: 6px 0 0; padding-left: 10.5em; }
.fl-form .fl-item > :last-child { grid-column: 1 / -1; }
.fl-form .widget-html, .fl-form .widget-html-content { height: auto; min-height: 0; }
.fl-form .fl-nest > .fl-slot, .fl-form > .fl-slot { margin: 0; }
.fl-form .fl-actions, .fedlab-lab .fl-form + .fl-explained { margin-top: 8px; }
.fl-form .fl-actions:empty { display: none; }
.fl-form .fl-says { margin: 1px 0 2px; padding-left: 10.5em; color: var(--jp-content-font-color2); }
.fl-form .fl-refused summary { cursor: pointer; width: fit-content; }
.fl-form .fl-refused summary:focus-visible { outline: 2px solid var(--jp-brand-color1); outline-offset: 1px; }
.fl-form .fl-refused ul { margin: 2px 0; padding-left: 1.2em; }
.fl-form .widget-dropdown option:disabled { color: var(--jp-ui-font-color2); }
.fl-form .fl-wrong { border-left: 3px solid var(--jp-error-color1); padding: 2px 10px; font-weight: 600; }
.fl-form .fl-bad :is(input, select) { border-color: var(--jp-error-color1) !important; }
.fl-form .fl-section, .fl-form .fl-small, .fl-form .fl-item, .fl-form .fl-says { overflow-wrap: anywhere; }
@container (max-width: 30rem) {
  .fl-form .widget-label { width: 7.5em; flex-basis: 7.5em; }
  .fl-form .fl-says, .fl-form .fl-field > .fl-slider, .fl-form .widget-checkbox { padding-left: 8em; }
  .fl-form .fl-add { margin-left: 8em; }
  .fl-form .fl-item { padding-left: 6px; }
  .fl-form .fl-nest, .fl-form .fl-inside { padding-left: 6px; }
}
@container (max-width: 22rem) {                  /* labels above their controls, nothing set in from the left */
  .fl-form .fl-field > :is(.widget-text, .widget-dropdown, .widget-radio) { flex-direction: column;
    align-items: stretch; height: auto; }
  .fl-form .fl-field > .widget-inline-hbox > * { width: 100%; flex: none; }
  .fl-form .fl-field .widget-label { width: auto; text-overflow: clip; overflow-wrap: anywhere; }
  .fl-form .widget-radio-box label { display: flex; flex-flow: row nowrap; align-items: flex-start; gap: 4px;
    height: auto; line-height: 1.3; white-space: normal; margin: 2px 0; }
  .fl-form .widget-radio-box input { order: -1; margin: 0; float: none; height: 1.3em; flex: none; }
  .fl-form :is(.fl-says, .fl-item, .fl-field > .fl-slider, .widget-checkbox) { padding-left: 0; }
  .fl-form .fl-add { margin-left: 0; }
  .fl-form .fl-item { grid-template-columns: minmax(0, 1fr); justify-items: start; }
  .fl-form .fl-nest, .fl-form .fl-inside { padding-left: 3px; }
  .fl-form button.fl-section { padding: 5px 4px 5px 18px; text-indent: -14px; }
  .fl-form button.fl-section::before { width: 14px; }
}
"""


class Names(anywidget.AnyWidget):
    """Takes no room: names the buttons of the form around it, and carries its style."""

    _esm, _css = NAMES, STYLE
