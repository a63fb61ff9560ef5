"""pcm.fit_pops: the fit is a node, with its hash; what cannot be fitted is an exit code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from aiida import orm

from aiida_pcm.calcfunctions.fit_pops import fit_pops
from aiida_pcm.data.arrays import pack_evaluation, pops_of
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science import misspecification
from aiida_pcm.science.failure import Evaluation

from ..science.test_formation import rows

SYMBOLS = ('Li', 'Na', 'K', 'Rb', 'Mg', 'Ca')


def test_the_fit_is_a_node(aiida_profile_clean):
    formulas = [f'{metal}{other}' for metal in SYMBOLS for other in ('O', 'S', 'Cl', 'F')]
    random = np.random.default_rng(0)
    truth = random.normal(size=len(formulas))
    truth[5] = np.nan
    dataset = DatasetData(materials=rows(formulas, formation_energy=truth))
    pooled = random.normal(size=(len(formulas), 3)).astype(np.float32)
    evaluation = Evaluation.missing(dataset.materials)
    evaluation = replace(evaluation, status=np.zeros(len(formulas), np.int8), energy=np.zeros(len(formulas)),
        formation_energy=np.nan_to_num(truth) - 0.1 * pooled[:, 0], pooled_features=pooled)  # fmt: skip
    found = fit_pops(dataset, pack_evaluation(evaluation), orm.Dict({'seed': 3}))
    model = pops_of(found['pops'])
    errors = np.where(np.isnan(truth), np.nan, 0.1 * pooled[:, 0])
    how = misspecification.Settings(seed=3)
    expected, scores = misspecification.fit(pooled, errors, dataset.materials.groups, how)
    assert np.abs(model.predict(pooled).mean - expected.predict(pooled).mean).max() < 1e-9
    assert found['pops'].base.attributes.get('sha256') == model.sha256
    assert found['pops'].base.attributes.get('rows') == 23 and found['pops'].creator.process_label == 'fit_pops'
    assert np.allclose(found['scores'].get_array('score'), scores, rtol=1e-6)
    assert found['scores'].base.attributes.get('name') == f'pops:{model.sha256[:16]}'

    without = replace(evaluation, pooled_features=None)
    for packed, settings in ((pack_evaluation(without), {}), (pack_evaluation(evaluation), {'engine': 'other'})):
        _, node = fit_pops.run_get_node(dataset, packed, orm.Dict(settings))
        assert node.exit_status == 410
