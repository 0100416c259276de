"""What really goes out on the wire."""

from .top_k import TopK
from .update import Update

__all__ = ["TopK", "Update"]
