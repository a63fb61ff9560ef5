"""The benchmark of archives writes, verifies and imports one."""

from __future__ import annotations

import pytest

from tests.synthetic import with_energies


@pytest.mark.slow
def test_what_is_measured(benchmark_module, aiida_profile_clean, aiida_localhost, tmp_path):
    materials = with_energies(80)
    found = benchmark_module('archive').measure(materials, aiida_localhost, tmp_path, 0)
    done = {f'{what}_{how}' for what in ('export', 'verify', 'look', 'import') for how in ('zip', 'xz')}
    assert set(found['seconds']) == done and min(found['seconds'].values()) > 0
    assert found['bytes'] == {
        'zip': (tmp_path / 'audit.aiida').stat().st_size,
        'xz': (tmp_path / 'audit.aiida.xz').stat().st_size,
    }
    assert found['bytes']['xz'] < found['bytes']['zip']
    assert 0 < found['dataset_deflated'] < found['dataset_as_stored']
    # Every file of the archive is counted once; what is left over are headers of the zip.
    assert 0.8 < sum(found['by_type'].values()) / found['bytes']['zip'] < 1.0
    assert found['nodes'] > 40 and found['by_type']['DatasetData'] > 0
