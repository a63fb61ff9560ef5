"""How this package asks Quantum ESPRESSO for forces: the one place where inputs of pw.x are put together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida_quantumespresso.workflows.pw.base import PwBaseWorkChain

from aiida_pcm.science.conventions import Convention
from aiida_pcm.science.dft import is_metallic


def pw_inputs(code: orm.Code, structure: orm.StructureData, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs of a PwBaseWorkChain that gives energy, forces and stress of one structure.

    :param settings: ``pseudo_family``; ``kpoints_distance`` {metal, other} in 1/A; ``cutoff_factor`` and
        ``kspacing_factor``, by which the family's cut-offs and the k-spacing are multiplied; ``degauss`` in Ry;
        ``conv_thr_per_atom`` in Ry; ``max_wallclock_seconds``.
    """
    cutoffs = _cutoffs(structure, settings)
    kind = 'metal' if is_metallic([kind.symbol for kind in structure.kinds]) else 'other'
    overrides = {
        'pseudo_family': settings['pseudo_family'],
        'kpoints_distance': settings['kpoints_distance'][kind] * settings['kspacing_factor'],
        'clean_workdir': True,
        'pw': {
            'metadata': {'options': {'withmpi': False, 'max_wallclock_seconds': settings['max_wallclock_seconds']}},
            'parameters': {
                'SYSTEM': {'ecutwfc': cutoffs[0], 'ecutrho': cutoffs[1], 'degauss': settings['degauss']},
                'ELECTRONS': {'conv_thr': settings['conv_thr_per_atom'] * len(structure.sites)},
            },
        },
    }
    builder = PwBaseWorkChain.get_builder_from_protocol(code, structure, protocol='balanced', overrides=overrides)
    builder.pw.metadata.options['resources'] = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
    return builder._inputs(prune=True)


def convention_of(settings: Mapping[str, Any]) -> Convention:
    """What numbers computed with these settings mean."""
    return Convention('PBE', pseudopotentials=settings['pseudo_family'])


def _cutoffs(structure: orm.StructureData, settings: Mapping[str, Any]) -> tuple[float, float]:
    family = orm.load_group(settings['pseudo_family'])
    wavefunctions, density = family.get_recommended_cutoffs(structure=structure, unit='Ry')
    return wavefunctions * settings['cutoff_factor'], density * settings['cutoff_factor']
