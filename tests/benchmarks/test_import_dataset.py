"""The benchmark of imports measures an import."""

from __future__ import annotations

import csv

import pytest
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter


@pytest.fixture
def table(tmp_path):
    path = tmp_path / 'table.csv'
    with path.open('w', newline='') as handle:
        writer = csv.writer(handle)
        writer.writerow(['material_id', 'cif', 'formation_energy_per_atom'])
        for number in range(5):
            crystal = AseAtomsAdaptor.get_structure(bulk('NaCl', 'rocksalt', a=5.6 + number / 100))
            writer.writerow([f'm-{number}', str(CifWriter(crystal)) if number else 'nonsense', -2.0])
    return path


def test_what_is_measured(benchmark_module, aiida_profile_clean, table):
    found = benchmark_module('import_dataset').measure(table)
    assert (found['report']['rows_read'], found['report']['rows_kept']) == (5, 4)
    assert set(found['seconds']) == {'read', 'store', 'load'} and min(found['seconds'].values()) > 0
    assert found['peak_mb'] > 10


def test_the_first_rows(benchmark_module, table, tmp_path):
    (tmp_path / 'less').mkdir()
    less = benchmark_module('import_dataset').first_rows(table, 2, tmp_path / 'less')
    with less.open(newline='') as handle:
        assert [row['material_id'] for row in csv.DictReader(handle)] == ['m-0', 'm-1']
