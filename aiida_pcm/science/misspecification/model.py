"""A fitted POPS model, frozen: a linear corrector, and a box of parameters around it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aiida_pcm.science import npz
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import Array

#: What a prediction can be ranked by; see docs/topics/pops.md.
SCORES = ('std', 'half_width')
_COLUMNS = ('mean', 'scale', 'coefficients', 'covariance', 'support', 'low', 'high')
_REMEDY = 'Fit it again.'


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the corrector says of n materials, eV/atom; nan where a feature is not a number.

    :param mean: (n,) error of the energy that is to be expected: reference minus model.
    :param std: (n,) standard deviation of it, from the box of parameters and from their posterior covariance.
    :param low, high: (n,) smallest and largest error that any parameters of the box give: exact, at a corner.
    """

    mean: Array
    std: Array
    low: Array
    high: Array

    @property
    def half_width(self) -> Array:
        """(n,) half the distance of the bounds, eV/atom."""
        return np.asarray((self.high - self.low) / 2)

    def score(self, name: str) -> Array:
        """(n,) one of SCORES."""
        if name not in SCORES:
            raise PcmError(f'There is no score {name!r}.', f'Use {" or ".join(SCORES)}.')
        return np.asarray(getattr(self, name))

    def outside(self, errors: Array) -> Array:
        """(n,) bool: errors (n,), eV/atom, that are not within the bounds."""
        return np.asarray((errors < self.low) | (errors > self.high))


@dataclass(frozen=True, eq=False)
class PopsModel(npz.Frozen):
    """The error of the energy per atom is c . x with x = ((f - mean) / scale, 1); c is uncertain.

    Parameters are c = coefficients + support @ u, with each u_k anywhere between low_k and high_k: the hypercube of
    POPS, with K of P directions.

    :param mean, scale: (d,) of the pooled features f. Scales are powers of two, so that dividing by them is exact.
    :param coefficients: (P,) P = d + 1, eV/atom.
    :param covariance: (P, P) of the Bayesian posterior of c, which knows nothing of misspecification.
    :param support: (P, K) orthonormal columns.
    :param low, high: (K,).
    :param rows: that it was fitted on.
    :param score: which of SCORES a box uses.
    """

    mean: Array
    scale: Array
    coefficients: Array
    covariance: Array
    support: Array
    low: Array
    high: Array
    rows: int
    score: str

    def __post_init__(self) -> None:
        d, (p, k) = len(self.mean), self.support.shape
        shapes = {
            'mean': (d,),
            'scale': (d,),
            'coefficients': (p,),
            'covariance': (p, p),
            'support': (p, k),
            'low': (k,),
            'high': (k,),
        }
        if p != d + 1 or self.score not in SCORES or any(getattr(self, n).shape != s for n, s in shapes.items()):
            raise PcmError('The parts of this POPS model do not fit together.', _REMEDY)
        if not all(np.isfinite(getattr(self, name)).all() for name in _COLUMNS) or (self.low > self.high).any():
            raise PcmError('A number of this POPS model is not finite, or a side of its box is empty.', _REMEDY)
        if (np.frexp(self.scale)[0] != 0.5).any():
            raise PcmError('A scale of this POPS model is not a power of two.', _REMEDY)

    def design(self, pooled: Array) -> Array:
        """(n, P) float64 of pooled features (n, d). Raises PcmError for another number of features."""
        return design(pooled, self.mean, self.scale)

    def predict(self, pooled: Array) -> Prediction:
        """Mean, standard deviation and exact bounds for pooled features (n, d)."""
        rows = self.design(pooled)
        mean, along = rows @ self.coefficients, rows @ self.support
        ends = along * self.low, along * self.high
        variance = np.einsum('ij,jk,ik->i', rows, self.uncertainty, rows, optimize=True)
        return Prediction(
            mean, np.sqrt(np.maximum(variance, 0.0)), mean + np.minimum(*ends).sum(1), mean + np.maximum(*ends).sum(1)
        )

    @cached_property
    def misspecification(self) -> Array:
        """(P, P) second moment, about the coefficients, of parameters drawn evenly from the box.

        Upstream estimates it from samples; of a box it is known: V (diag(w^2 / 12) + m m') V' with widths w, centre m.
        """
        centre, width = (self.low + self.high) / 2, self.high - self.low
        inner = np.diag(width**2 / 12) + np.outer(centre, centre)
        return np.asarray(self.support @ inner @ self.support.T)

    @property
    def uncertainty(self) -> Array:
        """(P, P) of both: what the standard deviation of a prediction is made of."""
        return np.asarray(self.misspecification + self.covariance)

    def draw(self, count: int, seed: int) -> Array:
        """(count, P) parameters drawn evenly from the box."""
        random = np.random.default_rng(seed)
        inside = random.uniform(self.low, self.high, size=(count, len(self.low)))
        return np.asarray(self.coefficients + inside @ self.support.T)

    @classmethod
    def from_bytes(cls, content: bytes) -> PopsModel:
        """Read what `to_bytes` wrote; nothing is unpickled. Raises PcmError for anything else."""
        try:
            about, columns = npz.unpack(content, npz.ABOUT)
            parts = {name: np.asarray(columns[name], dtype='<f8') for name in _COLUMNS}
            return cls(**parts, rows=int(about['rows']), score=str(about['score']))
        except (PcmError, *npz.UNREADABLE) as error:
            raise PcmError(f'This is not a POPS model: {type(error).__name__}.', _REMEDY) from error

    def _about(self) -> str:
        return json.dumps({'rows': self.rows, 'score': self.score}, sort_keys=True)

    def _columns(self) -> dict[str, Array]:
        return {name: np.asarray(getattr(self, name), dtype='<f8') for name in _COLUMNS}


def design(pooled: Array, mean: Array, scale: Array) -> Array:
    """(n, d + 1) float64: features (n, d) less their mean, in units of their scale, and a column of ones."""
    values = np.asarray(pooled, dtype=float)
    if values.ndim != 2 or values.shape[1] != len(mean):
        raise PcmError(
            f'Pooled features of shape {values.shape}, but {len(mean)} features were fitted.',
            'Give (n, d) of the same model of the potential.',
        )
    return np.hstack([(values - mean) / scale, np.ones((len(values), 1))])
