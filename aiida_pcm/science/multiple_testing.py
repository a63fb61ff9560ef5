"""What looking at many p-values does to each of them."""

from __future__ import annotations

import numpy as np

from aiida_pcm.science.materials import Array


def holm(p_values: Array) -> Array:
    """(n,) p-values adjusted for looking at all of them (S. Holm, Scand. J. Statist. 6, 65 (1979)).

    :param p_values: (n,) of one family; nan is no member of it, and stays nan.
    """
    p_values = np.asarray(p_values, dtype=float)
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind='stable')]
    adjusted = np.full(len(p_values), np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(np.arange(len(order), 0, -1) * p_values[order]))
    return adjusted
