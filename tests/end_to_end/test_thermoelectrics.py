"""pcm.screen on recorded predictions and on CHGNet, and examples/06_thermoelectrics.py as it is."""

from __future__ import annotations

import json
import runpy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from aiida import orm
from aiida.engine import run_get_node

from aiida_pcm.calcfunctions.screen_candidates import screen_candidates
from aiida_pcm.data.arrays import pack_evaluation
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science.conventions import MATERIALS_PROJECT, PcmError
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.formation import ElementalReferences
from aiida_pcm.science.parts import divide
from aiida_pcm.workchains.screen import ScreenWorkChain

from ..science.screening.test_screen import candidates
from .test_examples import set_up, set_up_codes  # noqa: F401  pytest finds fixtures by their names here

CODES = ScreenWorkChain.spec().exit_codes
LATTICE = {'F': 4.7, 'Cl': 5.6, 'Br': 6.0, 'I': 6.5, 'O': 4.8, 'S': 5.7, 'Se': 6.0, 'Te': 6.5}
PAIRS = [(metal, anion) for metal in ('Li', 'Na', 'K', 'Rb', 'Cs') for anion in ('F', 'Cl', 'Br', 'I')]
PAIRS += [(metal, anion) for metal in ('Mg', 'Ca', 'Sr', 'Ba') for anion in ('O', 'S', 'Se', 'Te')]
ENERGY = -3.0  # eV/atom, of every element: what its energy is does not matter, as long as all say the same


def recorded():
    """The table of a wrong model and a right one, as somebody would import it."""
    rows, predicted = candidates()
    rows = rows.with_metadata(label='made-up', predictions={'quantity': 'formation_energy', 'models': list(predicted)})
    features = {**rows.features, **{f'formation_energy:{name}': column for name, column in predicted.items()}}
    return replace(rows, features=features)


def builder(dataset, **kwargs):
    return ScreenWorkChain.get_builder_from_protocol(dataset, protocol='fast', **kwargs)


def test_recorded_predictions(aiida_profile_clean):
    rows = recorded()
    results, node = run_get_node(builder(DatasetData(materials=rows)))
    assert node.is_finished_ok, node.exit_message
    assert [child.process_label for child in node.called] == ['screen_candidates']
    report, order = results['screening'].get_dict(), results['order']
    assert report['model'] == 'wrong' and report['peers'] == ['right']
    assert [at['budget'] for at in report['discovery']['budgets']] == [0.05, 0.1, 0.2, 0.5]
    assert set(order.get_arraynames()) == {'single', 'vote', 'median', 'better', 'risk', 'direct', 'envelope'}
    assert len(order.get_array('risk')) == report['held_out']['rows']
    assert order.base.attributes.get('dataset_sha256') == rows.content_sha256


def test_evaluations_stand_before_what_was_recorded(aiida_profile_clean):
    rows = recorded()
    evaluation = Evaluation.missing(rows)
    right = rows.features['formation_energy:right']
    status = np.zeros(len(rows), np.int8)
    status[0] = 1
    node = pack_evaluation(
        Evaluation(status, evaluation.energy, evaluation.forces, evaluation.stress, formation_energy=right)
    )
    made = builder(DatasetData(materials=rows), overrides={'settings': {'protocols': ['single', 'better']}})
    made.evaluations = {'mine': node}
    results, chain = run_get_node(made)
    assert chain.is_finished_ok, chain.exit_message
    report = results['screening'].get_dict()
    assert report['model'] == 'mine' and report['peers'] == ['wrong', 'right']
    assert report['quality']['mine']['hull distance']['precision']['value'] > 0.9


def test_what_is_refused(aiida_profile_clean):
    rows, _ = candidates(60)
    with pytest.raises(ValueError, match='No recorded predictions'):
        run_get_node(builder(DatasetData(materials=rows)))
    with pytest.raises(ValueError, match='no column hull_formation_energy'):
        run_get_node(builder(DatasetData(materials=replace(recorded(), features={}))))
    with pytest.raises(ValueError, match='certification part'):
        run_get_node(builder(DatasetData(materials=divide(recorded(), 'formation_energy')['certification'])))
    with pytest.raises(ValueError, match='no protocol'):
        run_get_node(builder(DatasetData(materials=recorded()), overrides={'settings': {'protocols': ['luck']}}))
    with pytest.raises(PcmError, match='Unknown key'):
        builder(DatasetData(materials=rows), overrides={'colour': 1})
    with pytest.raises(PcmError, match='no code'):
        builder(DatasetData(materials=rows), model=ModelData.chgnet())
    wrong = orm.Dict({'model': 'nobody'})
    _, node = screen_candidates.run_get_node(DatasetData(materials=recorded()), wrong, orm.Int(0))
    assert node.exit_status == 410 and 'no predictions of' in node.exit_message


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Rocksalts with the energies that CHGNet gives, and a little noise: a reference of its own convention."""
    from ase.build import bulk
    from chgnet.model import CHGNet
    from pymatgen.io.ase import AseAtomsAdaptor

    folder, random = tmp_path_factory.mktemp('tables'), np.random.default_rng(0)
    crystals = [AseAtomsAdaptor.get_structure(bulk(m + x, 'rocksalt', a=LATTICE[x])) for m, x in PAIRS]
    energies = [float(one['e']) for one in CHGNet.load(verbose=False).predict_structure(crystals, task='e')]
    names = [f'mp-{row}' for row in range(len(PAIRS))]
    table = {
        'material_id': names,
        'formula': [f'{metal}1 {anion}1' for metal, anion in PAIRS],
        'formation_energy_per_atom': np.array(energies) - ENERGY + random.normal(0, 0.01, len(PAIRS)),
        'band_gap': [1.0] * 30 + [3.0] * 2 + [np.nan] * 4,
        'cif': [crystal.to(fmt='cif') for crystal in crystals],
    }
    pd.DataFrame(table).to_csv(folder / 'materials.csv', index=False)
    transport = {'mp_id': [*names, 'mp-99'], 'PF_p': 1.0, 'PF_n': [20.0] * 28 + [5.0] * 9}
    pd.DataFrame(transport).to_csv(folder / 'transport.csv', index=False)
    elements = {element: ENERGY for pair in PAIRS for element in pair}
    stated = ElementalReferences('made-up', MATERIALS_PROJECT, elements, 'a test').as_dict()
    (folder / 'elements.json').write_text(json.dumps(stated))
    return [str(folder / name) for name in ('materials.csv', 'transport.csv', 'elements.json')]


@pytest.mark.slow
def test_example(set_up_codes, files, root, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr('sys.argv', ['06_thermoelectrics.py', *files, '25'])
    names = runpy.run_path(str(root / 'examples' / '06_thermoelectrics.py'), run_name='__main__')
    said, report, dataset = capsys.readouterr().out, names['found'], names['dataset']
    assert '36 materials are in both tables; 28 have a power factor at least 10' in said
    assert dataset.n_rows == report['rows'] + report['left_out'] == 25
    stages = {name: of['stage'] for name, of in dataset.materials.metadata['imported_features'].items()}
    assert stages == {'band_gap': 'POST_DFT', 'power_factor': 'POST_DFT', 'hull_formation_energy': 'PRE_DFT'}
    evaluation = names['results']['evaluation'].get_array('formation_energy')
    error = np.abs(evaluation - dataset.materials.references['formation_energy'])
    assert error.max() < 0.05, 'CHGNet against its own energies with a little noise'
    labels = [node.process_label for node in names['screening'].called]
    assert labels == ['EvaluateBaseWorkChain', 'screen_candidates']
    assert report['model'] == 'chgnet_0_3_0' and report['pose'] == 'SINGLE_POINT'
    assert f'Screening {names["screening"].pk}' in said
