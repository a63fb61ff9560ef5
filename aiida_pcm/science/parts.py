"""The two parts of a data set: one to search in, one to certify on."""

from __future__ import annotations

import numpy as np

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import eligible_force_rows
from aiida_pcm.science.materials import Array, MaterialSet, data_sha256
from aiida_pcm.science.split import part_sha256, split


def divide(materials: MaterialSet, quantity: str) -> dict[str, MaterialSet]:
    """Search part and certification part, by name; each knows its hash and that of the whole.

    For forces, rows in which symmetry forbids any force are left out: they cannot fail and would only pad n.

    :param quantity: the property that is audited, ``force`` or another.
    :return: the rows of each part in the order of the data set, with metadata ``part`` (its name), ``part_sha256``,
        ``whole_sha256``, ``whole_groups`` (groups of the whole) and ``ineligible_rows`` (rows left out of both).
    :raises PcmError: where a part would be empty, or for a set that is itself a part: a second division would certify
        on rows of the search, or open a used part as a new one.
    """
    if 'part' in materials.metadata:
        raise PcmError(
            f'This is the {materials.metadata["part"]} part of a data set; a part is not divided again.',
            'Give the whole data set.',
        )
    seed = data_sha256(materials)
    eligible = eligible_force_rows(materials) if quantity == 'force' else np.ones(len(materials), dtype=bool)
    in_search = split(materials.groups, seed)
    parts = {'search': in_search, 'certification': ~in_search}
    return {name: _part(materials, rows, eligible, name, seed) for name, rows in parts.items()}


def _part(materials: MaterialSet, rows: Array, eligible: Array, name: str, seed: str) -> MaterialSet:
    ineligible = int((~eligible).sum())
    if not (rows & eligible).any():
        left_out = f' ({ineligible} of them left out: symmetry forbids a force)' if ineligible else ''
        raise PcmError(
            f'The {name} part of the data set is empty: {len(materials)} materials{left_out} are too few to be split '
            'by group.',
            'Bring more materials of different groups.',
        )
    part = materials.subset(np.flatnonzero(rows & eligible))
    return part.with_metadata(
        part=name,
        whole_sha256=materials.content_sha256,
        # Named before rows are left out: an audit of forces and one of stress open the same part.
        part_sha256=part_sha256(materials.ids[rows], seed, name),
        whole_groups=len(np.unique(materials.groups)),
        ineligible_rows=ineligible,
    )
