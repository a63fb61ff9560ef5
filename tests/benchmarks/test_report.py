"""The benchmark of reports makes a large page and opens it."""

from __future__ import annotations

import shutil

import pytest

from tests.synthetic import with_energies


@pytest.mark.slow
def test_what_is_measured(benchmark_module, aiida_profile_clean, aiida_localhost, tmp_path):
    materials = with_energies(80)
    module, path = benchmark_module('report'), tmp_path / 'report.html'
    usual = benchmark_module('archive').NOISE
    found = module.measure(materials, aiida_localhost, path, 0)
    assert usual == benchmark_module('archive').NOISE
    assert found['bytes'] == path.stat().st_size > 100_000
    assert found['seconds'] > 0 and found['counterexamples'] > 0
    if shutil.which('chromium') is None:
        pytest.skip('needs Chromium')
    pytest.importorskip('playwright.sync_api', reason='needs playwright')
    opened = module.opening(path)
    assert set(opened) == {'loaded', 'painted'} and all(len(one) == module.OPENINGS for one in opened.values())
    assert min(opened['loaded']) > 0
