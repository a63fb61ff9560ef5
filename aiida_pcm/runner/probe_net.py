"""PROBE's network in torch, fitted epoch by epoch; runner/probe.py says what it is for, and imports this file late.

Layers as in the authors' code (S. Mehdi, Cho, Isayev, arXiv 2605.00640): an encoder of every atom, self-attention among
the atoms of one row, mean and maximum over them, a head with two logits. For crystals nothing extensive goes in: the
number of atoms is left out, the energy is per atom, and every row weighs the same in the loss, whatever its cell. Then
a cell and its replicas have one answer: softmax shares a weight among equal atoms, mean and maximum do not count them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .checkpoint import Array, write_atomically

HEAD_WIDTH = 8
#: Most padded pairs of atoms in one batch; attention needs heads x pairs numbers.
LARGEST_PAIRS = 2**18
_BUCKET = 16


class Probe(nn.Module):
    """Log-odds that the potential fails on a row, from the features of its atoms.

    :param n_features: d, per atom.
    :param width: of the encoder; a multiple of 8, one head for every 8.
    """

    feature_mean: torch.Tensor
    feature_scale: torch.Tensor
    energy_mean: torch.Tensor
    energy_scale: torch.Tensor

    def __init__(self, n_features: int, width: int, dropout: float) -> None:
        super().__init__()
        for name, size in (('feature', n_features), ('energy', 1)):
            self.register_buffer(f'{name}_mean', torch.zeros(size))
            self.register_buffer(f'{name}_scale', torch.ones(size))
        sizes = (n_features, width, width // 2, width)
        layers: list[nn.Module] = []
        for inner, outer in zip(sizes[:-1], sizes[1:], strict=True):
            layers += [nn.Linear(inner, outer), nn.LayerNorm(outer), nn.GELU(), nn.Dropout(dropout)]
        self.encoder = nn.Sequential(*layers)
        self.attention = nn.MultiheadAttention(width, width // HEAD_WIDTH, batch_first=True)
        self.norm = nn.LayerNorm(width)
        sizes = (2 * width + 1, width, width // 2, width // 8)
        layers = []
        for inner, outer in zip(sizes[:-1], sizes[1:], strict=True):
            layers += [nn.Linear(inner, outer), nn.GELU(), nn.Dropout(dropout)]
        self.head = nn.Sequential(*layers, nn.Linear(sizes[-1], 2))

    def forward(
        self, atoms: torch.Tensor, there: torch.Tensor, energy: torch.Tensor, importance: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Logits (b, 2) of right and wrong, and, if wanted, the attention (b, m, m) from query to key.

        :param atoms: (b, m, d), padded.
        :param there: (b, m) bool, False where a row has no more atoms.
        :param energy: (b,) eV/atom.
        """
        encoded = self.encoder((atoms - self.feature_mean) / self.feature_scale)
        mixed, weights = self.attention(encoded, encoded, encoded, key_padding_mask=~there, need_weights=importance)
        encoded = self.norm(encoded + mixed)
        shown = there[:, :, None]
        mean = (encoded * shown).sum(1) / shown.sum(1)
        largest = encoded.masked_fill(~shown, -torch.inf).amax(1)
        scaled = (energy[:, None] - self.energy_mean) / self.energy_scale
        return self.head(torch.cat([mean, largest, scaled], 1)), weights

    def standardise(self, rows: Rows, chosen: Array) -> None:
        """Mean and spread over the chosen rows, in which every row weighs the same however many atoms it has."""
        atoms = np.concatenate([rows.atoms[rows.offsets[row] : rows.offsets[row + 1]] for row in chosen])
        counts = rows.counts[chosen]
        weights = np.repeat(1 / counts, counts) / len(counts)
        mean = weights @ atoms
        scale = np.sqrt(weights @ (atoms - mean) ** 2)
        energy = rows.energy[chosen]
        found = (('feature', mean, scale), ('energy', energy.mean(keepdims=True), energy.std(keepdims=True)))
        for name, middle, spread in found:
            self.get_buffer(f'{name}_mean').copy_(torch.from_numpy(middle))
            self.get_buffer(f'{name}_scale').copy_(torch.from_numpy(np.where(spread > 1e-6, spread, 1.0)))


@dataclass(frozen=True, eq=False)
class Rows:
    """n rows with N atoms: atoms (N, d), offsets (n + 1,), energy (n,) eV/atom; on the device as well."""

    atoms: Array
    offsets: Array
    energy: Array
    device: str
    moved: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, 'moved', torch.from_numpy(self.atoms.astype(np.float32)).to(self.device))

    @property
    def counts(self) -> Array:
        """(n,) number of atoms."""
        return np.diff(self.offsets)

    def batch(self, chosen: Array) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The chosen rows as `Probe.forward` wants them."""
        counts = self.counts[chosen]
        place = np.arange(counts.max())
        there = place < counts[:, None]
        index = np.where(there, self.offsets[chosen][:, None] + place, 0)
        energy = torch.from_numpy(self.energy[chosen].astype(np.float32)).to(self.device)
        where = torch.from_numpy(index).to(self.device)
        return self.moved[where], torch.from_numpy(there).to(self.device), energy


@dataclass
class Fitted:
    """A network at its best epoch, and how it came there."""

    weights: dict[str, Array]
    history: list[dict[str, float]]
    best_epoch: int


@dataclass
class _State:
    """What a killed job leaves for its successor, at the end of every epoch."""

    epoch: int = 0
    best_loss: float = float('inf')
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


def device_of(wanted: str) -> str:
    """cpu or cuda; auto is cuda where there is one."""
    return ('cuda' if torch.cuda.is_available() else 'cpu') if wanted == 'auto' else wanted


def fit(
    rows: Rows,
    failed: Array,
    learned: Array,
    watched: Array,
    how: Mapping[str, Any],
    path: Path,
    identity: str,
    say: Callable[[str], None],
) -> Fitted:
    """Fit one network; an earlier job's checkpoint of the same identity is taken up where it ended.

    AdamW, cross-entropy, the rate halved on a plateau, early stopping: all by the loss of the watched rows, or, where
    there are none, by that of the learned ones and without stopping early. Every epoch seeds torch by its own number,
    so that a resumed fit is the fit that was not interrupted, bit for bit on one machine and number of threads.

    :param failed: (n,) bool.
    :param learned, watched: row numbers.
    :param path: of the checkpoint, written after each epoch by atomic rename.
    """
    key = hashlib.sha256(identity.encode() + learned.tobytes() + watched.tobytes()).hexdigest()
    torch.manual_seed(how['seed'])
    network = Probe(rows.atoms.shape[1], how['width'], how['dropout'])
    network.standardise(rows, learned)
    network.to(rows.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=how['learning_rate'], weight_decay=how['weight_decay'])
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=how['plateau'])
    state, best = _State(), _copy(network)
    if found := _read(path, key):
        network.load_state_dict(found['network'])
        optimizer.load_state_dict(found['optimizer'])
        plateau.load_state_dict(found['plateau'])
        state, best = _State(**found['state']), found['best']
        say(f'{path.stem}: taken up after epoch {state.epoch}')
    targets = torch.from_numpy(np.asarray(failed, dtype=np.int64)).to(rows.device)
    while state.epoch < how['epochs'] and not (len(watched) and state.epoch - state.best_epoch >= how['patience']):
        state.epoch += 1
        loss = _epoch(network, optimizer, rows, targets, learned, how, state.epoch)
        watch = _loss(log_odds(network, rows, watched), failed[watched]) if len(watched) else loss
        rate = optimizer.param_groups[0]['lr']
        state.history.append({'epoch': state.epoch, 'learned': loss, 'watched': watch, 'learning_rate': rate})
        plateau.step(watch)
        if watch < state.best_loss or not len(watched):
            state.best_loss, state.best_epoch, best = watch, state.epoch, _copy(network)
        parts: dict[str, Any] = {'network': network, 'optimizer': optimizer, 'plateau': plateau}
        _write(path, {'key': key, 'state': vars(state), 'best': best, **{k: v.state_dict() for k, v in parts.items()}})
        say(f'{path.stem}: epoch {state.epoch}, loss {loss:.4f}, of watched rows {watch:.4f}')
    weights = {name: value.cpu().numpy() for name, value in best.items()}
    return Fitted(weights, state.history, state.best_epoch)


def network_of(weights: Mapping[str, Array], device: str) -> Probe:
    """A network with these weights, for questions only."""
    width, n_features = weights['encoder.0.weight'].shape
    network = Probe(n_features, width, 0.0)
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    return network.to(device).eval()


def log_odds(network: Probe, rows: Rows, chosen: Array) -> Array:
    """(len(chosen),) log-odds of a failure, before calibration."""
    found = np.empty(len(chosen))
    with _asking(network):
        for batch in _by_size(rows.counts[chosen], np.arange(len(chosen)), 256):
            logits, _ = network(*rows.batch(chosen[batch]))
            found[batch] = (logits[:, 1] - logits[:, 0]).double().cpu().numpy()
    return found


def ask(network: Probe, rows: Rows, chosen: Array) -> tuple[Array, Array]:
    """Log-odds (len(chosen),) and importance (N,), nan for atoms of rows that were not chosen.

    Importance is the attention an atom gets, mean over the heads, summed over the queries, adding up to 1 in a row.
    """
    found, importance = np.empty(len(chosen)), np.full(len(rows.atoms), np.nan)
    with _asking(network):
        for batch in _by_size(rows.counts[chosen], np.arange(len(chosen)), 256):
            asked = chosen[batch]
            atoms, there, energy = rows.batch(asked)
            logits, weights = network(atoms, there, energy, importance=True)
            found[batch] = (logits[:, 1] - logits[:, 0]).double().cpu().numpy()
            got = (weights * there[:, :, None]).sum(1) / there.sum(1, keepdim=True)
            for row, values in zip(asked, got.double().cpu().numpy(), strict=True):
                importance[rows.offsets[row] : rows.offsets[row + 1]] = values[: rows.counts[row]]
    return found, importance


@contextlib.contextmanager
def _asking(network: Probe) -> Iterator[None]:
    """No gradients and no dropout; afterwards the network is as it was."""
    training = network.training
    network.eval()
    with torch.no_grad():
        yield
    network.train(training)


def _epoch(
    network: Probe,
    optimizer: torch.optim.Optimizer,
    rows: Rows,
    targets: torch.Tensor,
    learned: Array,
    how: Mapping[str, Any],
    epoch: int,
) -> float:
    """One pass over the learned rows; the mean loss on the way."""
    torch.manual_seed(how['seed'] * 100_003 + epoch)
    random = np.random.default_rng([how['seed'], epoch])
    network.train()
    total = 0.0
    for batch in _shuffled(rows.counts, random.permutation(learned), how['batch_size'], random):
        logits, _ = network(*rows.batch(batch))
        # Divided by the size that a batch has, not by the one it has here: a row counts the same among large cells.
        loss = nn.functional.cross_entropy(logits, targets[batch], reduction='sum') / how['batch_size']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * how['batch_size']
    return total / len(learned)


def _shuffled(counts: Array, rows: Array, size: int, random: np.random.Generator) -> list[Array]:
    """Batches of rows of like size, from buckets of shuffled rows, in shuffled order."""
    buckets = (rows[start : start + size * _BUCKET] for start in range(0, len(rows), size * _BUCKET))
    found = [batch for bucket in buckets for batch in _by_size(counts[bucket], bucket, size)]
    return [found[place] for place in random.permutation(len(found))]


def _by_size(counts: Array, rows: Array, size: int) -> Iterator[Array]:
    """Rows, the smallest first, at most so many and at most LARGEST_PAIRS padded pairs of atoms in a batch."""
    order = np.argsort(counts, kind='stable')
    begin = 0
    for end in range(1, len(order) + 1):
        pairs = (end + 1 - begin) * int(counts[order[min(end, len(order) - 1)]]) ** 2
        if end == len(order) or end - begin >= size or pairs > LARGEST_PAIRS:
            yield rows[order[begin:end]]
            begin = end


def _loss(odds: Array, failed: Array) -> float:
    """Mean cross-entropy of log-odds."""
    return float(np.logaddexp(0.0, np.where(failed, -odds, odds)).mean())


def _copy(network: Probe) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """The content behind its own sha256."""
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    write_atomically(path, hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())


def _read(path: Path, key: str) -> dict[str, Any] | None:
    """A checkpoint of this very fit, or None; weights_only: nothing in the file is executed."""
    if not path.is_file():
        return None
    written = path.read_bytes()
    digest, content = written[:32], written[32:]
    if hashlib.sha256(content).digest() != digest:
        print(f'pcm: checkpoint {path.name} is torn, the fit begins anew', flush=True)
        return None
    found: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True, map_location='cpu')
    return found if found['key'] == key else None


def parameters_of(weights: Mapping[str, Array]) -> int:
    """How many numbers were fitted."""
    fixed: Sequence[str] = ('feature_mean', 'feature_scale', 'energy_mean', 'energy_scale')
    return sum(value.size for name, value in weights.items() if name not in fixed)
