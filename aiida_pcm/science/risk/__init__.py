"""How likely a model is wrong about a material, before any DFT; and how good such a number is.

`model` fits and keeps, `figures` judges, `baselines` are the free scores that must be beaten, `summary` does it all;
`transfer` asks a model about the failures of another.
"""

from __future__ import annotations

from aiida_pcm.science.risk.baselines import conformal_width, distance_to_training
from aiida_pcm.science.risk.figures import RATE, RESAMPLES, Calibration, Figure, Judged, calibration
from aiida_pcm.science.risk.model import FOLDS, CrossFit, RiskModel, Settings, cross_fit, cross_validate, fit, fold_of
from aiida_pcm.science.risk.summary import Learned, learn
from aiida_pcm.science.risk.transfer import LIGHT, Transfer, transfer

__all__ = [
    'FOLDS', 'LIGHT', 'RATE', 'RESAMPLES', 'Calibration', 'CrossFit', 'Figure', 'Judged', 'Learned', 'RiskModel',
    'Settings', 'Transfer', 'calibration', 'conformal_width', 'cross_fit', 'cross_validate', 'distance_to_training',
    'fit', 'fold_of', 'learn', 'transfer',
]  # fmt: skip
