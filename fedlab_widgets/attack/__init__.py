"""What liars do."""

from .label_flip import LabelFlip
from .sign_flip import SignFlip

__all__ = ["LabelFlip", "SignFlip"]
