"""What potentials that run in torch share: the device, its memory, and giving memory back."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np

from .potentials import Array, RunnerError

# A guess, no GPU was at hand; what does not fit is halved.
GPU_BATCH = 8


class TorchPotential:
    """The part of a Potential that does not depend on the model.

    On a CPU a batch that outgrows its caches is slower than two; how many atoms that is, depends on the model.

    :param device: cpu, cuda, or auto for cuda where there is one.
    :raises RunnerError: if cuda is asked for and torch sees none.
    """

    cpu_batch_atoms = 256

    def __init__(self, torch: Any, weights_sha256: str, device: str) -> None:
        self._torch = torch
        self.weights_sha256 = weights_sha256
        self.device = _device(torch, device)
        self.batch_atoms = self.cpu_batch_atoms * (GPU_BATCH if self.device == 'cuda' else 1)

    def freeze(self, model: Any) -> Any:
        """The model on its device, for predictions only."""
        model = model.to(self.device).eval()
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        return model

    def features(self, atoms: Any) -> Array:
        """A tensor (N, d) of the model as an array, float32."""
        return np.asarray(atoms.detach().float().cpu().numpy())

    def release(self) -> None:
        """Collect garbage and empty torch's cache."""
        gc.collect()
        if self.device == 'cuda':
            self._torch.cuda.empty_cache()

    def peak_device_memory_mb(self) -> float | None:
        """Peak of torch's allocator on the GPU, MB."""
        if self.device != 'cuda':
            return None
        return float(self._torch.cuda.max_memory_allocated()) / 2**20


def _device(torch: Any, device: str) -> str:
    available = bool(torch.cuda.is_available())
    if device == 'auto':
        return 'cuda' if available else 'cpu'
    if device == 'cuda' and not available:
        raise RunnerError('input', 'torch sees no CUDA device here.', 'Ask for device cpu or auto.')
    return device
