"""Corrections of local steps against drift; they go into `local.correct`."""

from .contrastive import Contrastive
from .control_variate import ControlVariate
from .critical import Critical
from .dynamic_regulariser import DynamicRegulariser
from .normalise_steps import NormaliseSteps
from .proximal import Proximal

__all__ = ["Contrastive", "ControlVariate", "Critical", "DynamicRegulariser", "NormaliseSteps", "Proximal"]
