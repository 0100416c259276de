"""How the form looks, and the names that ipywidgets does not give: only JupyterLab's own colours, no fixed widths."""

import anywidget

# Names for what ipywidgets leaves without: the "?" is called by its title, sections say whether they are open.
NAMES = """
function render({ el }) {
  const name = (root) => {
    root.querySelectorAll("button.fl-why, button.fl-small").forEach((b) => b.setAttribute("aria-label", b.title));
    root.querySelectorAll("button.fl-why, button.fl-section").forEach(
      (b) => b.setAttribute("aria-expanded", b.classList.contains("fl-is-open")));
    root.querySelectorAll(".fl-field :is(input:not([type=radio]), select)").forEach((i) =>
      i.closest(".fl-bad") ? i.setAttribute("aria-invalid", "true") : i.removeAttribute("aria-invalid"));
  };
  // Plain keys are the form's: the notebook would take b for a new cell and d d for deleting this one.
  const keep = (e) => { if (!e.ctrlKey && !e.metaKey && !e.altKey && !e.shiftKey) e.stopPropagation(); };
  let seen, gone = false;
  const wait = () => {
    const root = el.closest(".fl-form");
    if (gone) return;
    if (!root) return requestAnimationFrame(wait);
    seen = new MutationObserver(() => name(root));
    seen.observe(root, { childList: true, subtree: true, attributes: true, attributeFilter: ["class", "title"] });
    root.addEventListener("keydown", keep);
    name(root);
  };
  wait();
  return () => { gone = true; if (seen) seen.disconnect(); };
}
export default { render };
"""

STYLE = """
.fl-form { container-type: inline-size; width: 100%; max-width: 46rem; color: var(--jp-content-font-color1); }
.fl-form .fl-field { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 3px 6px; align-items: center;
  overflow: visible; margin: 5px 0 0; }
.fl-form .fl-field > * { margin: 0; }
.fl-form .widget-dropdown { height: auto; }
.fl-form .widget-dropdown > select { height: 28px; min-height: 28px; }
.fl-form .widget-checkbox { padding-left: 10.5em; height: auto; min-height: 26px; }
.fl-form .widget-checkbox .widget-label-basic { width: auto; flex: 1 1 auto; white-space: normal; }
.fl-form .fl-slot > .fl-nest > .widget-html { padding-left: 0; }
.fl-form .fl-field > .fl-slider { grid-column: 1 / -1; padding-left: 10.5em; }
.fl-form .fl-slider input { width: 100%; margin: 0; accent-color: var(--jp-brand-color1); }
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
.fl-form button.fl-why { min-width: 26px; padding: 0; border-radius: 50%; font-weight: 600; }
.fl-form button.fl-why.fl-is-open { background: var(--jp-brand-color1); color: var(--jp-ui-inverse-font-color1); }
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
.fl-form .fl-actions:empty { display: none; }
.fl-form .fl-says { margin: 1px 0 2px; padding-left: 10.5em; color: var(--jp-content-font-color2); }
.fl-form .fl-help { background: var(--jp-layout-color2); border-left: 3px solid var(--jp-brand-color1);
  padding: 4px 10px; }
.fl-form .fl-help p { margin: 4px 0; }
.fl-form .fl-wrong { border-left: 3px solid var(--jp-error-color1); padding: 2px 10px; font-weight: 600; }
.fl-form .fl-bad :is(input, select) { border-color: var(--jp-error-color1) !important; }
@container (max-width: 30rem) {
  .fl-form .widget-label { width: 7.5em; flex-basis: 7.5em; }
  .fl-form .fl-says, .fl-form .fl-field > .fl-slider, .fl-form .widget-checkbox { padding-left: 8em; }
  .fl-form .fl-add { margin-left: 8em; }
  .fl-form .fl-item { padding-left: 6px; }
  .fl-form .fl-nest, .fl-form .fl-inside { padding-left: 6px; }
}
"""


class Names(anywidget.AnyWidget):
    """Takes no room: names the buttons of the form around it, and carries its style."""

    _esm, _css = NAMES, STYLE
