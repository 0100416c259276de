"""Corrections of local steps against drift; they go into `local.correct`."""

from .control_variate import ControlVariate
from .proximal import Proximal

__all__ = ["ControlVariate", "Proximal"]
