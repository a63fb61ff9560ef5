"""The benchmark of descriptors measures all of them."""

from __future__ import annotations

import pytest
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter

from aiida_pcm.science.features import FEATURES, peer_features


@pytest.fixture
def table(tmp_path):
    path = tmp_path / 'table.csv'
    cifs = [str(CifWriter(AseAtomsAdaptor.get_structure(bulk(name)))) for name in ('Cu', 'Si', 'Ar')]
    rows = [f'm-{number},"{cif}",-1.0' for number, cif in enumerate(cifs)]
    path.write_text('\n'.join(['material_id,cif,formation_energy_per_atom', *rows]))
    return path


def test_what_is_measured(benchmark_module, table):
    module = benchmark_module('features')
    materials = module.with_predictions(module.read(table), 0)
    assert len(materials) == 3
    named = [name for names in module.kinds(materials, module.predicted(materials)).values() for name in names]
    assert sorted(named) == sorted([*FEATURES, *peer_features(module.PEERS)])
    found = module.measure(materials)
    assert set(found['seconds']) == {'composition', 'structure', 'symmetry', 'models', 'all'}
    assert found['features']['all'] == len(named)
    # Argon has no electronegativity: five statistics.
    assert found['without_value'] == {'composition': 5, 'structure': 0, 'symmetry': 0, 'models': 0, 'all': 5}
    assert found['seconds']['all'] > 0 and found['peak_mb'] > 10
