"""The fit of POPS in passes over chunks of rows, for tables (N, P) that do not fit into memory.

The same numbers as popsregression 0.4.0 (a test compares them), in memory of the order of P^2 and N:

1. R of the QR decomposition of (1, F, y), chunk by chunk: R'R holds all products of columns, without squaring the
   condition number. (J. Demmel et al., SIAM J. Sci. Comput. 34, A206 (2012), 'TSQR'.) From it means and scales, and the
   Bayesian ridge of D. J. C. MacKay, Neural Comput. 4, 415 (1992), as scikit-learn iterates it.
2. Leverages h_i = x_i' S x_i and residuals r_i, with S = (X'X + (lambda / alpha) I)^-1.
3. Sum of d_i d_i' over the rows of high leverage, d_i = S x_i r_i / h_i the smallest change of parameters, in the
   metric of S^-1, that makes row i exact. Its eigenvectors are the directions of the box.
4. The ends of the box: quantiles of the d_i along these directions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import Array
from aiida_pcm.science.misspecification.model import PopsModel, design
from aiida_pcm.science.misspecification.settings import Settings

#: Gives the rows from the start each time it is called: (features (m, d), errors (m,)), ...
Chunks = Callable[[], Iterable[tuple[Array, Array]]]
_CHUNK = 4096
_CONSTANT = 1e-12
_PRIOR = 1e-6  # alpha_1, alpha_2, lambda_1, lambda_2 of scikit-learn and upstream


def in_chunks(features: Array, errors: Array, size: int = _CHUNK) -> Chunks:
    """Chunks of arrays, which may be numpy.memmap: only one chunk at a time is read."""

    def chunks() -> Iterator[tuple[Array, Array]]:
        for start in range(0, len(errors), size):
            yield features[start : start + size], errors[start : start + size]

    return chunks


def fit_streaming(chunks: Chunks, settings: Settings) -> PopsModel:
    """The POPS model of errors (N,), eV/atom, on pooled features (N, d).

    :param chunks: is called four times and must give the same rows in the same order; all values finite.
    :raises PcmError: no rows, or a value that is not finite.
    """
    summary = summarise(chunks)
    ridge = bayesian_ridge(summary, settings)

    def corrections(keep: Array | None = None) -> Iterator[tuple[Array, Array, Array]]:
        """Corrections d, leverages h and residuals r, chunk by chunk, of all rows or of those to keep."""
        start = 0
        for features, errors in chunks():
            rows = summary.design(features)
            if keep is not None:
                some = keep[start : start + len(errors)]
                start += len(errors)
                rows, errors = rows[some], errors[some]
            residuals, steps = errors - rows @ ridge.coefficients, rows @ ridge.scaled
            leverages = np.einsum('ij,ij->i', steps, rows)
            safe = np.where(leverages > 0, leverages, np.inf)
            yield steps * (residuals / safe)[:, None], leverages, residuals

    leverages = np.concatenate([found for _, found, _ in corrections()])
    keep = leverages >= np.percentile(leverages, settings.leverage_percentile)
    product = np.zeros((len(ridge.coefficients),) * 2)
    for steps, _, _ in corrections(keep):
        product += steps.T @ steps
    values, vectors = eigh(product)
    support = vectors[:, values > settings.mode_threshold * values.max()]
    low, high = _ends((steps @ support for steps, _, _ in corrections(keep)), int(keep.sum()), settings)
    covariance = ridge.scaled / ridge.alpha
    return PopsModel(
        summary.mean, summary.scale, ridge.coefficients, covariance, support, low, high, summary.rows, settings.score
    )


@dataclass(frozen=True, eq=False)
class Summary:
    """All that a ridge regression needs of N rows.

    :param root: (m, P) with root' root = X'X, X the design matrix; m at most P + 1.
    :param target: (m,) with root' target = X'y and |target - root c|^2 = |y - X c|^2 for every c.
    :param variance: of the errors.
    """

    rows: int
    mean: Array
    scale: Array
    root: Array
    target: Array
    variance: float

    def design(self, features: Array) -> Array:
        """(m, P) rows of the design matrix."""
        return design(features, self.mean, self.scale)


def summarise(chunks: Chunks) -> Summary:
    """One pass. Raises PcmError where there are no rows, or a value is not finite."""
    rows, triangle = 0, np.empty((0, 0))
    for features, errors in chunks():
        block = np.column_stack([np.ones(len(errors)), np.asarray(features, dtype=float), errors])
        if not np.isfinite(block).all():
            raise PcmError('A feature or an error is not a number.', 'Leave those rows out, and say how many.')
        rows += len(block)
        stacked = np.vstack([triangle, block]) if triangle.size else block
        triangle = np.asarray(np.linalg.qr(stacked, mode='r'))
    if rows == 0:
        raise PcmError('There are no rows to learn from.', 'Give at least one.')
    mean, spread = triangle[0] / triangle[0, 0], np.linalg.norm(triangle[1:], axis=0) / np.sqrt(rows)
    # Rounding makes a column that does not vary vary a little.
    scale = powers_of_two(np.where(spread > _CONSTANT * np.abs(mean), spread, 0.0)[1:-1])
    centred = (triangle[:, 1:-1] - np.outer(triangle[:, 0], mean[1:-1])) / scale
    root = np.column_stack([centred, triangle[:, 0]])
    return Summary(rows, mean[1:-1], scale, root, triangle[:, -1], float(spread[-1] ** 2))


def powers_of_two(spread: Array) -> Array:
    """The nearest powers of two of standard deviations; 1 for a column that does not vary."""
    exponent = np.log2(spread, where=spread > 0, out=np.zeros_like(spread))
    return np.asarray(2.0 ** np.rint(exponent))


@dataclass(frozen=True, eq=False)
class Ridge:
    """A Bayesian ridge regression.

    :param scaled: (P, P) (X'X + (lambda / alpha) I)^-1; the posterior covariance is this over alpha.
    """

    coefficients: Array
    scaled: Array
    alpha: float


def bayesian_ridge(summary: Summary, settings: Settings) -> Ridge:
    """sklearn.linear_model.BayesianRidge without intercept, from the summary of its rows: the same iteration."""
    _, singular, right = np.linalg.svd(summary.root, full_matrices=True)
    squares = np.zeros(len(right))
    squares[: len(singular)] = singular**2
    rotated = right @ (summary.root.T @ summary.target)
    alpha, lam = 1 / (summary.variance + float(np.finfo(float).eps)), 1.0
    old: Array | None = None
    for _ in range(settings.max_iterations):
        coefficients = right.T @ (rotated / (squares + lam / alpha))
        misfit = float(((summary.target - summary.root @ coefficients) ** 2).sum())
        known = float((alpha * squares / (lam + alpha * squares)).sum())
        lam = (known + 2 * _PRIOR) / (float((coefficients**2).sum()) + 2 * _PRIOR)
        alpha = (summary.rows - known + 2 * _PRIOR) / (misfit + 2 * _PRIOR)
        if old is not None and np.abs(old - coefficients).sum() < settings.tolerance:
            break
        old = coefficients
    coefficients = right.T @ (rotated / (squares + lam / alpha))
    scaled = (right.T / (squares + lam / alpha)) @ right
    return Ridge(coefficients, scaled, alpha)


def _ends(projected: Iterable[Array], count: int, settings: Settings) -> tuple[Array, Array]:
    """Percentiles from both ends of every column, linear between order statistics as numpy's, of chunks of rows.

    Only the tails are kept: with no clipping one number a column.
    """
    place = settings.percentile_clipping / 100 * (count - 1)
    whole = int(place)
    keep = min(whole + 2, count)
    tails: list[Array] = []
    for chunk in projected:
        for i, values in enumerate((chunk, -chunk)):
            if len(tails) == 2:
                values = np.concatenate([tails[i], values])
            values = np.partition(values, keep - 1, axis=0)[:keep] if len(values) > keep else values
            tails[i : i + 1] = [values]
    low, high = (np.sort(tail, axis=0) for tail in tails)
    share = place - whole
    low, high = ((1 - share) * tail[whole] + share * tail[min(whole + 1, keep - 1)] for tail in (low, high))
    return low, -high
