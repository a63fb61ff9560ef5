"""What an audit learned about where a model fails, frozen as one thing with one hash.

A risk model, and where they were asked for POPS (science.misspecification) and PROBE (science.reliability). Each gives
a score that a box may have a side in; the risk model looks at the scores of the other two beside its descriptors.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aiida_pcm.science import features, npz
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.features.base import PRE_DFT
from aiida_pcm.science.features.scores import POPS, PROBE, RISK, name_of
from aiida_pcm.science.materials import Array, MaterialSet
from aiida_pcm.science.misspecification import PopsModel
from aiida_pcm.science.reliability import ProbeModel, columns_of
from aiida_pcm.science.risk import RiskModel

_ABOUT = 'scorer.json'
#: Stages of the columns that the risk model gets from the other two.
STAGES = {POPS: PRE_DFT, PROBE: PRE_DFT}


@dataclass(frozen=True, eq=False)
class Scorer:
    """All that scores a material before DFT, in one audit.

    :param risk: knows the columns of the other two by the names POPS and PROBE.
    """

    risk: RiskModel
    pops: PopsModel | None = None
    probe: ProbeModel | None = None

    @cached_property
    def sha256(self) -> str:
        """Hash of all that is inside; that of the risk model where nothing else is."""
        inner = self._parts()
        if set(inner) == {RISK}:
            return self.risk.sha256
        text = '|'.join(f'{kind} {part.sha256}' for kind, part in inner.items())
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def names(self) -> dict[str, str]:
        """Names that its scores have in a box, by kind."""
        return {kind: name_of(self.sha256, kind) for kind in self._parts()}

    def score(self, materials: MaterialSet, evaluation: Evaluation) -> dict[str, Array]:
        """Each score of every row (n,), by its name in a box.

        The risk model scores by what there is where a material has an element of which it has no share, or lacks a
        value. nan where POPS has no features to go by; without an answer from the model the PROBE is certain of a
        failure.

        :raises PcmError: a feature that these materials cannot have, or an evaluation without features of the model.
        """
        found = self._of_features(materials, evaluation)
        names = [name for name in self.risk.features if name not in found]
        risk = self.risk.predict({**features.table(materials, evaluation, names), **found})
        return {self.names[kind]: column for kind, column in {RISK: risk, **found}.items()}

    def _of_features(self, materials: MaterialSet, evaluation: Evaluation) -> dict[str, Array]:
        found = {}
        if self.pops is not None:
            found[POPS] = self.pops.predict(required(evaluation.pooled_features)).score(self.pops.score)
        if self.probe is not None:
            columns = columns_of(self.probe.of, materials, evaluation, required(evaluation.atom_features))
            found[PROBE] = self.probe.predict(**columns)[0]
        return found

    def _parts(self) -> dict[str, RiskModel | PopsModel | ProbeModel]:
        parts = {RISK: self.risk, POPS: self.pops, PROBE: self.probe}
        return {kind: part for kind, part in parts.items() if part is not None}

    def to_bytes(self) -> bytes:
        """A zip of arrays; nothing is pickled. A risk model alone is written as such."""
        inner = self._parts()
        if set(inner) == {RISK}:
            return self.risk.to_bytes()
        files = {kind: np.frombuffer(part.to_bytes(), dtype=np.uint8) for kind, part in inner.items()}
        return npz.pack((_ABOUT, json.dumps(sorted(inner))), files, zipfile.ZIP_STORED)

    @classmethod
    def from_bytes(cls, content: bytes) -> Scorer:
        """Read what :meth:`to_bytes` wrote; nothing is unpickled. Raises PcmError for anything else."""
        try:
            kinds, files = npz.unpack(content, _ABOUT)
        except KeyError:
            return cls(RiskModel.from_bytes(content))
        except npz.UNREADABLE as error:
            raise PcmError(f'This is no frozen score: {type(error).__name__}.', 'Fit it again.') from error
        if sorted(files) != kinds or RISK not in files:
            raise PcmError('This is no frozen score: it is not complete.', 'Fit it again.')
        return cls(*_read({kind: column.tobytes() for kind, column in files.items()}))


def _read(files: Mapping[str, bytes]) -> tuple[RiskModel, PopsModel | None, ProbeModel | None]:
    pops = PopsModel.from_bytes(files[POPS]) if POPS in files else None
    probe = ProbeModel.from_bytes(files[PROBE]) if PROBE in files else None
    return RiskModel.from_bytes(files[RISK]), pops, probe


def required(of_the_model: Array | None) -> Array:
    """Features of the model; PcmError where nobody asked for them."""
    if of_the_model is None:
        raise PcmError(
            'The evaluation has no features of the model, and a score looks at them.',
            'Evaluate again with the parameter features: atoms.',
        )
    return of_the_model
