"""What models predict, alone and held against peers: hand values, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from aiida_pcm.science import features
from aiida_pcm.science.certification import make_claim
from aiida_pcm.science.conventions import GPA_PER_EV_PER_CUBIC_ANGSTROM, PcmError
from aiida_pcm.science.failure import Evaluation

from .crystals import compositions, evaluation_of, materials_of

FORMULAS = ['NaCl', 'Fe2O3', 'SiO2', 'Cu']
AUDITED = np.array([-2.0, -1.5, -3.0, 0.1])
RECORDED = {'a_1.0': [-2.1, -1.5, np.nan, 0.0], 'b': [-1.9, -1.2, -3.0, 0.3], 'c-2': [-2.6, -1.4, -3.3, 0.2]}
HULL = {'hull_formation_energy': {'unit': 'eV/atom', 'stage': 'PRE_DFT'}}


def recorded(formulas=FORMULAS, predictions=None, stated=HULL, structures=False, **metadata):
    predictions = RECORDED if predictions is None else predictions
    n = len(formulas)
    metadata = {'predictions': {'quantity': 'formation_energy', 'models': list(predictions)}} | metadata
    made = compositions(formulas, **{'pose': 'RELAXED', 'imported_features': stated} | metadata)
    if structures:
        made = replace(made, positions=np.zeros((made.n_atoms, 3)), cells=np.array([np.eye(3)] * n))
    columns = {f'formation_energy:{name}': np.array(column, float) for name, column in predictions.items()}
    return replace(made, features=columns | {'hull_formation_energy': np.resize([-1.8, -1.6, -3.0, 0.0], n)})


def audited(materials, values=AUDITED):
    return replace(Evaluation.missing(materials), status=np.zeros(len(values), np.int8), formation_energy=values)


def test_forces_and_stress():
    materials = materials_of([bulk('Si'), bulk('NaCl', 'rocksalt', a=5.6), bulk('Cu')])
    evaluation = evaluation_of(materials)
    failed = replace(evaluation, status=np.array([0, 1, 0], np.int8))
    found = features.table(materials, failed, ['predicted_stress', 'predicted_max_force'])
    assert list(found) == ['predicted_stress', 'predicted_max_force']
    largest = np.linalg.norm(evaluation.forces, axis=1)
    assert found['predicted_max_force'] == pytest.approx([largest[:2].max(), np.nan, largest[4]], nan_ok=True)
    norms = [np.linalg.norm(tensor, 2) * GPA_PER_EV_PER_CUBIC_ANGSTROM for tensor in evaluation.stress]
    assert found['predicted_stress'] == pytest.approx([norms[0], np.nan, norms[2]], nan_ok=True)
    lost = replace(evaluation, forces=np.where(np.arange(5)[:, None] == 1, np.nan, evaluation.forces))
    assert np.isnan(features.table(materials, lost)['predicted_max_force']).tolist() == [True, False, False]


def test_formation_energy_and_hull_distance():
    materials = recorded()
    evaluation = replace(audited(materials), status=np.array([0, 0, 1, 0], np.int8))
    found = features.table(materials, evaluation)
    assert found['predicted_formation_energy'] == pytest.approx([-2.0, -1.5, np.nan, 0.1], nan_ok=True)
    assert found['predicted_hull_distance'] == pytest.approx([-0.2, 0.1, np.nan, 0.1], nan_ok=True)


@pytest.mark.parametrize('stated', [{}, {'hull_formation_energy': {'unit': 'eV/atom', 'stage': 'POST_DFT'}}])
def test_a_hull_must_be_known_before_dft(stated):
    materials = recorded(stated=stated)
    with pytest.raises(PcmError, match='where the hull is'):
        features.get_feature('predicted_hull_distance', materials)
    found = features.table(materials, audited(materials))
    assert 'predicted_hull_distance' not in found and 'predicted_formation_energy' in found


def test_a_model_that_was_not_asked_for_formation_energies():
    materials = recorded()
    evaluation = Evaluation.missing(materials)
    assert not {'predicted_formation_energy', 'predicted_hull_distance'} & set(features.table(materials, evaluation))
    for name in ('predicted_formation_energy', 'predicted_hull_distance', 'difference:b'):
        with pytest.raises(PcmError, match='was not asked for formation_energy'):
            features.table(materials, evaluation, [name])


def test_peers_by_hand():
    materials = recorded()
    names = ['difference:a_1.0', 'spread:b+c-2', 'median_difference:b+c-2', 'abs_median_difference:a_1.0+b+c-2']
    found = features.table(materials, audited(materials), names)
    assert found[names[0]] == pytest.approx([0.1, 0, np.nan, 0.1], nan_ok=True)
    first = np.sqrt(np.mean((np.array([-2.0, -1.9, -2.6]) + 6.5 / 3) ** 2))
    assert found[names[1]][0] == pytest.approx(first)
    assert found[names[2]] == pytest.approx([0.25, -0.2, 0.15, -0.15])
    assert found[names[3]] == pytest.approx([0.1, 0.1, np.nan, 0.1], nan_ok=True)
    feature = features.get_feature(names[1], materials)
    assert (feature.name, feature.unit, feature.stage, feature.needs_model) == (names[1], 'eV/atom', 'PRE_DFT', True)


@given(st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=3), min_size=3, max_size=6), st.permutations(range(3)))
def test_peers_in_any_order_and_any_zero_of_energy(rows, order):
    """Only differences count, and who is named first does not."""
    values = np.array(rows).T
    peers, again = 'xyz', ''.join('xyz'[place] for place in order)
    own, moved = np.arange(len(rows)) * 0.1, 1.5
    materials = recorded(['Cu'] * len(rows), dict(zip(peers, values, strict=True)), stated={})
    shifted = recorded(['Cu'] * len(rows), dict(zip(peers, values + moved, strict=True)), stated={})
    for kind in ('spread', 'median_difference', 'abs_median_difference'):
        one, other = f'{kind}:{"+".join(peers)}', f'{kind}:{"+".join(again)}'
        before = features.table(materials, audited(materials, own), [one])[one]
        after = features.table(shifted, audited(shifted, own + moved), [other])[other]
        assert after == pytest.approx(before, abs=1e-9)


def test_names_of_all_peers():
    assert features.peer_features(['b']) == ['difference:b']
    names = features.peer_features(list(RECORDED))
    assert names[:3] == [f'difference:{peer}' for peer in RECORDED] and len(names) == len(set(names)) == 6
    materials = recorded()
    assert list(features.table(materials, audited(materials), names)) == names


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('difference:nobody', "no predictions of 'nobody'"),
        ('spread:a_1.0+', "no predictions of ''"),
        ('spread:b+c-2+b', 'names a model twice'),
        ('difference:b+c-2', 'more than one model'),
        ('spread', 'Unknown feature'),
        ('spread:', 'Unknown feature'),
        ('variance:b', 'Unknown feature'),
    ],
)
def test_peers_that_are_refused(name, message):
    with pytest.raises(PcmError, match=message):
        features.get_feature(name, recorded())


def test_peers_need_recorded_predictions():
    with pytest.raises(PcmError, match='Import a table'):
        features.get_feature('difference:b', compositions(FORMULAS))
    with pytest.raises(PcmError, match='needs the predictions of a model'):
        features.table(recorded(), names=['difference:b'])


def test_the_audited_model_is_no_peer_of_its_own():
    values = np.linspace(-3, 0, 12)
    materials = recorded(['Cu'] * 12, {'itself': values, 'b': values + 0.1}, stated={})
    values = np.where(np.arange(12) == 5, np.nan, values)
    with pytest.raises(PcmError, match='itself predicts what the audited model does'):
        features.table(materials, audited(materials, values), ['spread:b+itself'])
    features.table(materials, audited(materials, values), ['spread:b'])
    few = materials.subset(range(3))
    assert features.table(few, audited(few, values[:3]), ['difference:itself'])['difference:itself'].tolist() == [0] * 3


def test_what_models_say_of_a_geometry_that_dft_relaxed():
    names = ['predicted_formation_energy', 'predicted_hull_distance', *features.peer_features(['b', 'c-2'])]
    features.require_pre_dft(names)
    features.known_before_dft(names, recorded())  # of compositions: each model relaxed its own
    features.known_before_dft(names, recorded(structures=True, pose='SINGLE_POINT'))
    for name in names:
        with pytest.raises(PcmError, match='not known before DFT'):
            features.known_before_dft([name], recorded(structures=True))
    with pytest.raises(PcmError, match='is of the geometry'):
        features.known_before_dft(['volume_per_atom'], recorded())
    with pytest.raises(PcmError, match="no predictions of 'nobody'"):
        features.known_before_dft(['difference:nobody'], recorded())


def test_a_column_that_looks_like_peers_is_what_its_importer_says():
    stated = {'difference:b': {'unit': 'eV/atom', 'stage': 'POST_DFT'}}
    materials = recorded(stated=stated)
    assert features.get_feature('difference:b', materials).source == 'the data set'
    with pytest.raises(PcmError, match='POST_DFT'):
        features.known_before_dft(['difference:b'], materials)


def test_names_of_peers_fit_into_a_certificate():
    about = {'part': 'certification', 'whole_sha256': 'a' * 64, 'part_sha256': 'b' * 64, 'convention': {}}
    part = recorded().with_metadata(**about)
    box = [
        {'feature': name, 'lo': -0.5, 'hi': 0.5, 'lo_ci': None, 'hi_ci': None}
        for name in features.peer_features(list(RECORDED))
    ]
    model = {'label': 'm', 'kind': 'k', 'version': '1', 'weights_sha256': 'c' * 64}
    claim = make_claim(
        part=part, box=box, model=model, quantity='formation_energy', tolerance=0.1, requested=Fraction(1, 10), use=1
    )
    assert [(side['feature'], side['unit'], side['stage']) for side in claim['box']] == [
        (name, 'eV/atom', 'PRE_DFT') for name in features.peer_features(list(RECORDED))
    ]
