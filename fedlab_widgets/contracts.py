"""What every part must keep, as checks that run on any part."""

from __future__ import annotations


def check_part(cls) -> None:
    """Run the contracts on a part."""
