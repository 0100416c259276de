"""Widgets that still hear a page after another one has gone.

ipykernel 7.4.0 hands what a page says to a widget to the subshell of the request that the widget answered last. A page
that loads makes one for a moment, to ask for all widgets; what a thread of ours sends just then counts as an answer to
it, and once it is deleted, what the page says is refused and the widget is deaf: buttons do nothing, the board never
catches up. To be deleted with the first release that looks before it routes.
"""

from __future__ import annotations

import functools
import sys


def mend() -> None:
    """Route to a subshell only while there is one, else to where the page itself addressed its message."""
    if "ipykernel" not in sys.modules:   # no kernel here, or one of another make
        return
    from ipykernel.comm.comm import BaseComm
    from ipykernel.kernelbase import Kernel

    route = getattr(BaseComm, "_reply_subshell_for", None)
    if route is None or hasattr(route, "__wrapped__"):
        return

    @functools.wraps(route)
    def living(self, data, addressed):
        chosen = route(self, data, addressed)
        there = Kernel.instance().shell_channel_thread.manager.list_subshell() if chosen else ()
        return chosen if not chosen or chosen in there else addressed

    BaseComm._reply_subshell_for = living
