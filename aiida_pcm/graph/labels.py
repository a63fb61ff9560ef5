"""Process labels by which the graph is asked; work chains cannot be imported here, since they ask the graph."""

from __future__ import annotations

from aiida_pcm.calculations.evaluate import EvaluateCalculation
from aiida_pcm.calculations.lean import LeanCalculation

EVALUATE, LEAN = EvaluateCalculation.__name__, LeanCalculation.__name__
EVALUATE_BASE, PW_BASE = 'EvaluateBaseWorkChain', 'PcmPwBaseWorkChain'
AUDIT, VALIDATE, COMPARE, SCREEN = 'AuditWorkChain', 'ValidateWorkChain', 'CompareWorkChain', 'ScreenWorkChain'
