"""POPS: how far a linear corrector of a model's energies can be wrong because its form is wrong.

Pointwise optimal parameter sets: T. D. Swinburne and D. Perez, Mach. Learn.: Sci. Technol. 6, 015008 (2025),
arXiv 2402.01810; D. Perez, A. P. A. Subramanyam, I. Maliyov and T. D. Swinburne, npj Comput. Mater. 11, 263 (2025),
arXiv 2502.07104. docs/topics/pops.md has the equations, and says what is ours.
"""

from aiida_pcm.science.misspecification.corner import CornerClaim, claim_of, lean_text
from aiida_pcm.science.misspecification.fit import cross_predict, fit, fit_model, signed_errors
from aiida_pcm.science.misspecification.model import SCORES, PopsModel, Prediction
from aiida_pcm.science.misspecification.propagation import Spread, propagate_curve, propagate_difference
from aiida_pcm.science.misspecification.settings import Settings
from aiida_pcm.science.misspecification.streaming import fit_streaming, in_chunks

__all__ = [
    'SCORES',
    'CornerClaim',
    'PopsModel',
    'Prediction',
    'Settings',
    'Spread',
    'claim_of',
    'cross_predict',
    'fit',
    'fit_model',
    'fit_streaming',
    'in_chunks',
    'lean_text',
    'propagate_curve',
    'propagate_difference',
    'signed_errors',
]
