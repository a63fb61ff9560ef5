"""How this package asks Quantum ESPRESSO for forces: the one place where inputs of pw.x are put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm
from aiida.common.exceptions import NotExistent

from aiida_pcm.science.conventions import Convention, PcmError
from aiida_pcm.science.dft import k_distance
from aiida_pcm.workchains.protocol import load
from aiida_pcm.workchains.pw_base import PcmPwBaseWorkChain


def pw_inputs(code: orm.Code, structure: orm.StructureData, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs of a PcmPwBaseWorkChain that gives energy, forces and stress of one structure.

    :param settings: ``pseudo_family``; ``kpoints_distance`` {metal, covalent, other} in 1/A; ``cutoff_factor`` and
        ``kspacing_factor``, by which the family's cut-offs and the k-spacing are multiplied; ``degauss`` in Ry;
        ``conv_thr_per_atom`` in Ry; ``mixing_beta``; ``max_wallclock_seconds``.
    """
    cutoffs = _cutoffs(structure, settings)
    distance = k_distance(settings['kpoints_distance'], [kind.symbol for kind in structure.kinds])
    overrides = {
        'pseudo_family': settings['pseudo_family'],
        'kpoints_distance': distance * settings['kspacing_factor'],
        'clean_workdir': True,
        'pw': {
            'metadata': {'options': {'withmpi': False, 'max_wallclock_seconds': settings['max_wallclock_seconds']}},
            'parameters': {
                'SYSTEM': {'ecutwfc': cutoffs[0], 'ecutrho': cutoffs[1], 'degauss': settings['degauss']},
                'ELECTRONS': {
                    'conv_thr': settings['conv_thr_per_atom'] * len(structure.sites),
                    'mixing_beta': settings['mixing_beta'],
                },
            },
        },
    }
    builder = PcmPwBaseWorkChain.get_builder_from_protocol(code, structure, protocol='balanced', overrides=overrides)
    builder.pw.metadata.options['resources'] = {'num_machines': 1, 'num_mpiprocs_per_machine': 1}
    return builder._inputs(prune=True)


def element_settings(settings: Mapping[str, Any], elements: Sequence[str]) -> dict[str, Any]:
    """What the cost of a run depends on: cut-offs (Ry) and valence electrons by element, k-spacing by kind (1/A).

    :raises PcmError: where the family is not installed or has no pseudopotential for an element.
    """
    family = _family(settings)
    try:
        valence = {element: float(family.get_pseudo(element).z_valence) for element in elements}
    except ValueError as error:
        raise PcmError(f'{settings["pseudo_family"]}: {error}', 'Take a family that has all elements.') from error
    cutoffs = {element: family.get_recommended_cutoffs(elements=(element,), unit='Ry')[0] for element in elements}
    return {
        'valence': valence,
        'cutoffs': {element: cutoff * settings['cutoff_factor'] for element, cutoff in cutoffs.items()},
        'kpoints_distance': {
            kind: distance * settings['kspacing_factor'] for kind, distance in settings['kpoints_distance'].items()
        },
    }


def changed(settings: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the two factors multiplied by those of a change, and what else it has instead of theirs."""
    factors = {name: settings[name] * change[name] for name in ('cutoff_factor', 'kspacing_factor')}
    return {**settings, **change, **factors}


def referee_settings(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the referee: those of a reference, changed so that it is independent of it.

    :param inputs: the part ``validate`` of a protocol of the audit: ``reference``, ``pw`` and ``referee``.
    """
    return changed(load('reference', inputs['reference'], {'pw': inputs['pw']})['pw'], inputs['referee'])


def convention_of(settings: Mapping[str, Any]) -> Convention:
    """What numbers computed with these settings mean."""
    return Convention('PBE', pseudopotentials=settings['pseudo_family'])


def _cutoffs(structure: orm.StructureData, settings: Mapping[str, Any]) -> tuple[float, float]:
    family = _family(settings)
    wavefunctions, density = family.get_recommended_cutoffs(structure=structure, unit='Ry')
    return wavefunctions * settings['cutoff_factor'], density * settings['cutoff_factor']


def _family(settings: Mapping[str, Any]) -> Any:
    try:
        return orm.load_group(settings['pseudo_family'])
    except NotExistent as error:
        raise PcmError(
            f'The pseudopotential family {settings["pseudo_family"]} is not installed.', 'Make it: aiida-pcm setup'
        ) from error
