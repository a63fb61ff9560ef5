"""Read what a fitted PROBE said."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_pcm.parsers.probe_train import ProbeParser


class ProbeInferParser(ProbeParser):
    """Outputs ``scores`` and ``report`` of ProbeInferCalculation, or what went wrong."""

    def read(self, report: dict[str, Any]) -> dict[str, orm.Data]:
        """Probability of every row and importance of every atom."""
        dataset = self.node.inputs.dataset
        lengths = {'probability': dataset.n_rows, 'importance': dataset.materials.n_atoms}
        arrays = {name: self.values(name, length) for name, length in lengths.items()}
        return {'scores': orm.ArrayData(arrays), 'report': orm.Dict(report)}
