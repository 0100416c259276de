"""The "?": a button beside a control or a picture that opens, beneath it, what is said of some words."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping

import ipywidgets as w

from .words import Word, explain


class Why:
    """A "?" and the text that it opens. `text` is None while closed; `arrange` is called when that changes.

    name: what it explains, for its title. told: words by what they are called.
    """

    def __init__(self, name: str, told: Mapping[str, Word], arrange: Callable[[], None], **looks):
        self.told, self.arrange, self.text = told, arrange, None
        looks.setdefault("layout", w.Layout(width="auto"))
        self.button = w.Button(description="?", tooltip=f"what is {name}?", **looks)
        self.button.add_class("fl-why").on_click(lambda _: self.toggle())

    def toggle(self) -> None:
        """Open or close what is said."""
        self.text = None if self.text else w.HTML(page(self.told), layout=w.Layout(width="auto")).add_class("fl-help")
        (self.button.add_class if self.text else self.button.remove_class)("fl-is-open")
        self.arrange()


class Explained(w.Box):
    """A widget with its "?" beside it and, once opened, the words beneath."""

    def __init__(self, widget: w.Widget, name: str, told: Mapping[str, Word]):
        self.widget, self.why = widget, Why(name, told, self._arrange)
        super().__init__(layout=w.Layout(width="auto", min_width="0"))
        self.add_class("fl-explained")
        self._arrange()

    def _arrange(self) -> None:
        self.children = tuple(filter(None, (self.widget, self.why.button, self.why.text)))


def explained(widget: w.Widget, *terms: str | Word, name: str = "") -> Explained:
    """The widget (or a box of widgets) with a visible "?" that opens what is said of the terms.

    terms: words of the glossary, paths of fields, or `Word`s of your own. name: what "what is …?" asks (default: the
    terms). Looks and names come from a `form_look.Names` in the box around it. Raises BadInput for an unknown term.

    >>> box = explained(w.Button(description="Start"), "round", "client")
    >>> box.why.button.tooltip
    'what is round, client?'
    >>> box.why.toggle()
    >>> box.children[-1].value[:44]
    '<p><b>Round.</b> In a round the server sends'
    """
    told = {(name if isinstance(term, Word) else term): term if isinstance(term, Word) else explain(term)
            for term in terms}
    return Explained(widget, name or ", ".join(filter(None, told)), told)


def page(told: Mapping[str, Word]) -> str:
    """Words as HTML; where there are several, each begins with its name."""
    return "".join(_told(name if len(told) > 1 else "", word) for name, word in told.items())


def _told(name: str, word: Word) -> str:
    sentence, example, lesson = map(html.escape, word)
    head = f"<b>{html.escape(name.capitalize())}.</b> " if name else ""
    return f"<p>{head}{sentence}</p><p><b>Example:</b> {example}</p><p><b>Try:</b> {lesson}</p>"
