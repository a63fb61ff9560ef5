"""PROBE for crystals: how likely a potential fails on a row, from its own frozen features of every atom.

After S. Mehdi, Cho, Isayev, arXiv 2605.00640 (architecture from the authors' code; notes in docs/topics/probe.md). The
network is fitted by runner/probe.py in torch; what it fitted is kept here as plain numbers and answered in numpy, so
that a score can be had wherever a box is. Ours, and not the authors': energies and errors per atom, no number of atoms,
equal weight of every row, calibration; and with that the invariance under replication of the cell.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import erf, expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from aiida_pcm.science import npz
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.features.base import PRE_DFT
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.risk import RiskModel, Settings, fit

HEAD_WIDTH = 8
PROPERTIES = ('formation_energy', 'force')
_EPSILON = 1e-5  # torch's, of LayerNorm
_LARGEST = 2**24  # numbers in one array of attention, 64 MB
_ENCODER, _HEAD = (0, 4, 8), (0, 3, 6, 9)
_LAYERS = (
    *((f'encoder.{place}', ('width', 'half', 'width')[row]) for row, place in enumerate(_ENCODER)),
    ('attention.out_proj', 'width'),
    *((f'head.{place}', ('width', 'half', 'eighth', 'two')[row]) for row, place in enumerate(_HEAD)),
)


@dataclass(frozen=True, eq=False)
class ProbeModel(npz.Frozen):
    """A fitted classifier, frozen: plain numbers, named by their hash.

    :param weights: float32 by the names of the network in runner/probe_net.py.
    :param of: the property of which the failure is, ``formation_energy`` or ``force`` (see `atom_inputs`).
    :param tolerance: an error above this is a failure, in the unit of that property.
    :param slope, intercept: of the calibration of the log-odds.
    """

    weights: Mapping[str, Array]
    of: str
    tolerance: float
    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        plain = {name: np.asarray(self.weights[name], dtype=np.float32) for name in sorted(self.weights)}
        object.__setattr__(self, 'weights', plain)
        found = {name: array.shape for name, array in plain.items()}
        if 'encoder.0.weight' not in found or found != (wanted := _shapes(*found['encoder.0.weight'])):
            wrong = sorted(set(found.items()) ^ set(wanted.items())) if 'encoder.0.weight' in found else sorted(found)
            raise PcmError(f'These are not the weights of a PROBE: {wrong[:2]}.', 'Fit it again.')
        numbers = [self.tolerance, self.slope, self.intercept]
        if not (np.isfinite(numbers).all() and all(np.isfinite(array).all() for array in plain.values())):
            raise PcmError('A number of the classifier is not finite.', 'Fit it again.')
        if self.of not in PROPERTIES:
            raise PcmError(f'A PROBE of {self.of!r} is not known.', f'Use one of {", ".join(PROPERTIES)}.')

    @property
    def n_features(self) -> int:
        """d, of the atoms it wants to see."""
        return int(self.weights['encoder.0.weight'].shape[1])

    def predict(self, atom_features: Array, offsets: Array, energy_per_atom: Array) -> tuple[Array, Array]:
        """Probability of failure (n,) and importance of every atom (N,).

        Importance is the attention that an atom gets, mean over heads, summed over the atoms that ask, as a share of
        the row's: it adds up to 1 in every row. It is where the network looks, no proof of where the error comes from.
        A cell and its replicas have one probability, and replicas of an atom share its importance.

        :param atom_features: (N, d), see `atom_inputs`; a row with nan in it, or of no atoms, has no answer from the
            potential and is a failure: probability 1, importance nan.
        :param offsets: (n + 1,); the atoms of row i are offsets[i]:offsets[i + 1].
        :param energy_per_atom: (n,) of the potential itself, eV/atom.
        :raises PcmError: other features than it was fitted on, or columns that do not fit together.
        """
        features, energy = np.asarray(atom_features, dtype=np.float32), np.asarray(energy_per_atom, dtype=np.float32)
        offsets = np.asarray(offsets)
        if features.ndim != 2 or features.shape[1] != self.n_features:
            raise PcmError(
                f'The atoms have features {features.shape[1:]}, the classifier knows {self.n_features}.',
                'Take the features of the potential that it was fitted on.',
            )
        if energy.shape != (len(offsets) - 1,) or offsets[0] != 0 or offsets[-1] != len(features):
            raise PcmError('Atoms, offsets and energies are not of the same rows.', 'Give those of one data set.')
        there = answered(features, offsets) & np.isfinite(energy)
        probability, importance = np.ones(len(energy)), np.full(len(features), np.nan)
        for rows, atoms in _blocks(offsets, np.flatnonzero(there), self._heads):
            odds, share = self._ask(features[atoms], energy[rows])
            probability[rows] = expit(self.slope * odds.astype(float) + self.intercept)
            importance[atoms] = share
        return probability, importance

    @classmethod
    def from_bytes(cls, content: bytes) -> ProbeModel:
        """Read what `to_bytes` wrote; nothing is unpickled. Raises PcmError for anything else."""
        try:
            about, weights = npz.unpack(content, npz.ABOUT)
            numbers = {name: float(about[name]) for name in ('tolerance', 'slope', 'intercept')}
            return cls(weights, str(about['of']), **numbers)
        except (PcmError, *npz.UNREADABLE) as error:
            raise PcmError(f'This is not a PROBE: {type(error).__name__}.', 'Fit it again.') from error

    def _about(self) -> str:
        names = ('of', 'tolerance', 'slope', 'intercept')
        return json.dumps({name: getattr(self, name) for name in names}, sort_keys=True)

    def _columns(self) -> Mapping[str, Array]:
        return self.weights

    @property
    def _heads(self) -> int:
        return len(self.weights['encoder.0.weight']) // HEAD_WIDTH

    def _ask(self, features: Array, energy: Array) -> tuple[Array, Array]:
        """Log-odds (b,) and importance (b, m) of b rows of m atoms each; features (b, m, d)."""
        encoded = (features - self.weights['feature_mean']) / self.weights['feature_scale']
        for place in _ENCODER:
            encoded = _gelu(self._normed(f'encoder.{place + 1}', self._linear(f'encoder.{place}', encoded)))
        mixed, importance = self._attend(encoded)
        encoded = self._normed('norm', encoded + mixed)
        scaled = (energy[:, None] - self.weights['energy_mean']) / self.weights['energy_scale']
        seen = np.concatenate([encoded.mean(axis=1), encoded.max(axis=1), scaled], axis=1)
        for place in _HEAD[:-1]:
            seen = _gelu(self._linear(f'head.{place}', seen))
        logits = self._linear(f'head.{_HEAD[-1]}', seen)
        return logits[:, 1] - logits[:, 0], importance

    def _attend(self, encoded: Array) -> tuple[Array, Array]:
        """Softmax(q k / sqrt(8)) v of every head, mixed (b, m, width), and what each atom gets (b, m)."""
        b, m, width = encoded.shape
        of_three = encoded @ self.weights['attention.in_proj_weight'].T + self.weights['attention.in_proj_bias']
        query, key, value = of_three.reshape(b, m, 3, self._heads, HEAD_WIDTH).transpose(2, 0, 3, 1, 4)
        weights = softmax(query @ key.swapaxes(2, 3) / np.float32(np.sqrt(HEAD_WIDTH)), axis=-1)
        mixed = (weights @ value).transpose(0, 2, 1, 3).reshape(b, m, width)
        return self._linear('attention.out_proj', mixed), weights.mean(axis=(1, 2))

    def _linear(self, name: str, values: Array) -> Array:
        return np.asarray(values @ self.weights[f'{name}.weight'].T + self.weights[f'{name}.bias'])

    def _normed(self, name: str, values: Array) -> Array:
        middle = values - values.mean(axis=-1, keepdims=True)
        spread = np.sqrt((middle**2).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
        return np.asarray(middle / spread * self.weights[f'{name}.weight'] + self.weights[f'{name}.bias'])


def atom_inputs(of: str, atom_features: Array, forces: Array) -> Array:
    """What the classifier of a property sees of the atoms (N, d), or (N, d + 1) for ``force``.

    For forces the logarithm of 1 + |F|, F in eV/A as the potential predicts it, stands beside the features: errors of
    forces grow with the forces, and the features of an atom are of the energy. Our own choice.

    :param atom_features: (N, d) invariant under rotation.
    :param forces: (N, 3) predicted, eV/A.
    :raises PcmError: another property.
    """
    if of not in PROPERTIES:
        raise PcmError(f'A PROBE of {of!r} is not known.', f'Use one of {", ".join(PROPERTIES)}.')
    if of != 'force':
        return np.asarray(atom_features, dtype=np.float32)
    size = np.log1p(np.linalg.norm(forces, axis=1, keepdims=True))
    return np.concatenate([atom_features, size], axis=1).astype(np.float32)


def columns_of(of: str, materials: MaterialSet, evaluation: Evaluation, atom_features: Array) -> dict[str, Array]:
    """What goes in: atom_features, offsets and energy_per_atom, as `ProbeModel.predict` takes them.

    :raises PcmError: features of another number of atoms.
    """
    evaluation.check(materials)
    if atom_features.ndim != 2 or len(atom_features) != materials.n_atoms:
        raise PcmError(
            f'Features have shape {atom_features.shape}, the data set has {materials.n_atoms} atoms.',
            'Evaluate this data set with features: atoms.',
        )
    counts = np.diff(materials.offsets)
    energy = np.full(len(materials), np.nan)
    energy[counts > 0] = evaluation.energy[counts > 0] / counts[counts > 0]
    return {
        'atom_features': atom_inputs(of, atom_features, evaluation.forces),
        'offsets': materials.offsets,
        'energy_per_atom': energy,
    }


def answered(atom_features: Array, offsets: Array) -> Array:
    """(n,) bool: rows with atoms, all of which have features."""
    bad = np.concatenate([[0], np.cumsum(~np.isfinite(atom_features).all(axis=1))])
    return np.asarray((bad[offsets[1:]] == bad[offsets[:-1]]) & (np.diff(offsets) > 0))


def pooled(atom_features: Array, offsets: Array, energy_per_atom: Array) -> dict[str, Array]:
    """Columns (n,) for simple heads: mean, maximum and standard deviation of every feature, and the energy per atom.

    All are the same for a cell and its replicas; nan for a row without atoms.
    """
    counts = np.diff(offsets)
    found = np.full((3, len(counts), atom_features.shape[1]), np.nan)
    some, begins = counts > 0, offsets[:-1][counts > 0]
    if some.any():
        values = atom_features.astype(float)
        each = counts[some][:, None]
        mean = np.add.reduceat(values, begins, axis=0) / each
        largest = np.maximum.reduceat(values, begins, axis=0)
        squared = np.add.reduceat((values - np.repeat(mean, counts[some], axis=0)) ** 2, begins, axis=0) / each
        found[:, some] = mean, largest, np.sqrt(squared)
    names = ('mean', 'max', 'std')
    columns = {f'{name}:{k}': part[:, k] for name, part in zip(names, found, strict=True) for k in range(part.shape[1])}
    return {**columns, 'energy_per_atom': np.asarray(energy_per_atom, dtype=float)}


def logistic(columns: Mapping[str, Array], failed: Array) -> Pipeline:
    """Logistic regression on standardised columns, L2 with C = 0.1; `scores_of` asks it."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    return model.fit(np.column_stack(list(columns.values())), failed)


def boosting(columns: Mapping[str, Array], failed: Array, groups: Array, seed: int = 0) -> RiskModel:
    """Histogram gradient boosting of science.risk on the same columns, without its forest; frozen as that is."""
    settings = Settings(iterations=300, learning_rate=0.05, leaves=15, feature_share=0.3, forest=0, seed=seed)
    return fit(columns, failed, groups, settings, dict.fromkeys(columns, PRE_DFT))


def scores_of(model: Pipeline | RiskModel, columns: Mapping[str, Array]) -> Array:
    """(n,) probability of failure by one of the simple heads."""
    if isinstance(model, RiskModel):
        return model.predict(columns)
    return np.asarray(model.predict_proba(np.column_stack(list(columns.values())))[:, 1])


def _blocks(offsets: Array, rows: Array, heads: int) -> Iterator[tuple[Array, Array]]:
    """Rows (b,) of equally many atoms and the places (b, m) of these: no padding, and no more memory than is set."""
    counts = np.diff(offsets)
    for m in np.unique(counts[rows]).tolist():
        alike = rows[counts[rows] == m]
        size = max(1, _LARGEST // (heads * m * m))
        for begin in range(0, len(alike), size):
            chosen = alike[begin : begin + size]
            yield chosen, offsets[chosen][:, None] + np.arange(m)


def _gelu(values: Array) -> Array:
    """x times the normal distribution function (D. Hendrycks, K. Gimpel, arXiv 1606.08415)."""
    return np.asarray(values * np.float32(0.5) * (1 + erf(values * np.float32(np.sqrt(0.5)))))


def _shapes(width: int, n_features: int) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights of a network of this width."""
    sizes = {'width': width, 'half': width // 2, 'eighth': width // 8, 'two': 2}
    inner = {'encoder.0': n_features, 'attention.out_proj': width, 'head.0': 2 * width + 1}
    found: dict[str, tuple[int, ...]] = {'feature_mean': (n_features,), 'feature_scale': (n_features,)}
    found |= {'energy_mean': (1,), 'energy_scale': (1,)}
    before = width
    for name, size in _LAYERS:
        found |= {f'{name}.weight': (sizes[size], inner.get(name, before)), f'{name}.bias': (sizes[size],)}
        if name.startswith('encoder'):
            after = f'encoder.{int(name.rpartition(".")[2]) + 1}'
            found |= {f'{after}.{part}': (sizes[size],) for part in ('weight', 'bias')}
        before = sizes[size]
    found |= {f'norm.{part}': (width,) for part in ('weight', 'bias')}
    return found | {'attention.in_proj_weight': (3 * width, width), 'attention.in_proj_bias': (3 * width,)}
