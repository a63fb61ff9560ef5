"""The noise of a reference: the chain with pw.x for real in loose numerics, and what stands around it without."""

from __future__ import annotations

import io
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import run_get_node
from ase.build import bulk

from aiida_pcm.calcfunctions.attach_noise import attach_noise
from aiida_pcm.calcfunctions.split_dataset import split_dataset
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.certification import assumptions, make_claim, noise_of
from aiida_pcm.science.conventions import Convention, PcmError
from aiida_pcm.science.failure import get_property
from aiida_pcm.science.materials import MaterialSet
from aiida_pcm.science.recipe import Recipe, draw
from aiida_pcm.setup.pseudos import REFERENCE_FAMILY, STRINGENCY
from aiida_pcm.setup.reference import import_reference
from aiida_pcm.workchains import pw_batch
from aiida_pcm.workchains.noise import NoiseWorkChain

MODEL = {'label': 'm', 'kind': 'chgnet', 'version': '1', 'weights_sha256': '0' * 64}
STAND_IN = 'stand-in for another family'
TIGHT = {'cutoff_factor': 1.1, 'kspacing_factor': 1.0}
OVERRIDES = {'tight': TIGHT, 'referee': {**TIGHT, 'pseudo_family': STAND_IN, 'cutoff_factor': 1.3}}


SILICON = b"""<UPF version="2.0.1">
<PP_HEADER
element="Si"
z_valence="4.0"
/>
</UPF>
"""


def make_families(pseudo) -> None:
    """A pseudopotential of silicon as the reference's family, and the same one under another name."""
    from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

    for label in (REFERENCE_FAMILY.label, STAND_IN):
        made = CutoffsPseudoPotentialFamily(label=label).store()
        made.add_nodes([pseudo])
        made.set_cutoffs(REFERENCE_FAMILY.cutoffs(['Si']), STRINGENCY, unit='Ry')


@pytest.fixture
def families(aiida_profile_clean):
    """Families that pw.x could not read, for what happens around it."""
    from aiida_pseudo.data.pseudo import UpfData

    make_families(UpfData(io.BytesIO(SILICON), filename='Si.upf').store())


@pytest.fixture
def real_families(aiida_profile_clean):
    """Families that pw.x can read, from the shipped archive."""
    from aiida_pseudo.data.pseudo import UpfData

    import_reference()
    make_families(orm.QueryBuilder().append(UpfData, filters={'attributes.element': 'Si'}).first(flat=True))


def two_cells() -> DatasetData:
    """Two rattled cells whose reference says that nothing pulls at them, and a third without a reference."""
    crystals = [bulk('Si', 'diamond', a=a) for a in (5.3, 5.43, 5.2)]
    random = np.random.default_rng(1)
    for atoms in crystals:
        atoms.positions += random.normal(0.0, 0.08, atoms.positions.shape)
    about = {'label': 'two', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT', 'origin': 'this test'}
    about['convention'] = Convention('PBE', pseudopotentials=REFERENCE_FAMILY.label).as_dict()
    bare = MaterialSet.from_atoms(crystals, ['Si-0', 'Si-1', 'Si-2'], ['Si'] * 3, about)
    columns = {'energy': np.zeros(3), 'forces': np.zeros((6, 3)), 'stress': np.zeros((3, 3, 3))}
    columns['forces'][4:] = np.nan
    return DatasetData(materials=bare.with_references(columns, ['', '', 'did not converge'])).store()


@pytest.fixture
def broken_code(aiida_localhost):
    """A pw.x that gives nothing."""
    return orm.InstalledCode(
        label='broken',
        computer=aiida_localhost,
        filepath_executable='/bin/false',
        default_calc_job_plugin='quantumespresso.pw',
    ).store()


@pytest.mark.qe
@pytest.mark.slow
def test_noise_is_measured_and_attached(real_families, pw_code):
    reference = two_cells()
    builder = NoiseWorkChain.get_builder_from_protocol(pw_code, reference, 'fast', OVERRIDES)
    results, node = run_get_node(builder)
    assert node.is_finished_ok, node.exit_message
    runs = {link.link_label: link.node for link in node.base.links.get_outgoing(node_class=orm.WorkChainNode).all()}
    assert set(runs) == {f'{variant}_row_{row}' for variant in ('tight', 'referee') for row in (0, 1)}
    cutoffs = {name: run.inputs.pw.parameters['SYSTEM']['ecutwfc'] for name, run in runs.items()}
    assert cutoffs['tight_row_1'] == pytest.approx(1.1 / 1.3 * cutoffs['referee_row_1'])

    forces = {name: run.outputs.output_trajectory.get_array('forces')[-1] for name, run in runs.items()}
    stress = {name: run.outputs.output_trajectory.get_array('stress')[-1] for name, run in runs.items()}
    largest = {name: np.linalg.norm(values, axis=1).max() for name, values in forces.items()}
    found = results['noise'].get_dict()
    rows = {row['id']: row for row in found['rows']}
    assert set(rows) == {'Si-0', 'Si-1'} and found['complete'] == 2
    for number, name in enumerate(['Si-0', 'Si-1']):
        between = np.linalg.norm(forces[f'referee_row_{number}'] - forces[f'tight_row_{number}'], axis=1).max()
        assert rows[name]['force']['noise'] == pytest.approx(largest[f'referee_row_{number}'])
        assert rows[name]['force']['convergence'] == pytest.approx(largest[f'tight_row_{number}'])
        assert rows[name]['force']['families'] == pytest.approx(between)
        assert rows[name]['stress']['noise'] == pytest.approx(np.linalg.norm(stress[f'referee_row_{number}'], ord=2))
    assert 0 < rows['Si-1']['force']['families'] < rows['Si-1']['force']['noise']
    assert found['model']['force'] == pytest.approx(max(largest['referee_row_0'], largest['referee_row_1']))
    assert found['settings']['referee']['pseudo_family'] == STAND_IN

    before, after = reference.materials, results['dataset'].materials
    assert after.metadata == {**before.metadata, 'noise': found['model']}
    assert results['dataset'].base.attributes.get('label') == 'two'
    assert all(np.array_equal(column, after.columns()[name], equal_nan=column.dtype.kind == 'f')
               for name, column in before.columns().items())  # fmt: skip


@pytest.mark.slow
def test_runs_that_fail_are_no_measurement(families, broken_code):
    """A pw.x that gives nothing: the chain says so, names the causes, and attaches no noise."""
    reference = two_cells()
    builder = NoiseWorkChain.get_builder_from_protocol(broken_code, reference, 'fast', OVERRIDES)
    results, node = run_get_node(builder)
    assert node.exit_status == 510 and '0 rows converged both times, 2 are needed' in node.exit_message
    assert 'dataset' not in results
    for row in results['noise']['rows']:
        assert set(row['causes']) == {'tight', 'referee'} and 'exit status' in row['causes']['tight']


def test_too_few_rows_stop_before_anything_is_computed(families, broken_code):
    reference = two_cells()
    builder = NoiseWorkChain.get_builder_from_protocol(broken_code, reference, overrides={**OVERRIDES, 'max_cost': 1.0})
    results, node = run_get_node(builder)
    assert node.exit_status == 210 and '0 rows can be recomputed, 12 are needed (2 were too dear)' in node.exit_message
    assert results == {}
    (chosen,) = [called.outputs.result for called in node.called]
    assert chosen['too_dear'] == ['Si-0', 'Si-1'] and chosen['without_reference'] == ['Si-2']


def test_settings_of_another_family_are_refused(families, broken_code):
    reference = two_cells()
    overrides = {**OVERRIDES, 'pw': {'pseudo_family': STAND_IN}}
    builder = NoiseWorkChain.get_builder_from_protocol(broken_code, reference, overrides=overrides)
    with pytest.raises(ValueError, match=f'The reference is PBE {REFERENCE_FAMILY.label}'):
        run_get_node(builder)
    builder = NoiseWorkChain.get_builder_from_protocol(broken_code, reference, overrides=OVERRIDES)
    part = reference.materials.with_metadata(part='search')
    with pytest.raises(ValueError, match='part of a data set'):
        builder.dataset = DatasetData(materials=part)
        run_get_node(builder)


def test_protocol_multiplies_the_factors_of_the_reference(families, broken_code):
    reference = two_cells()
    referee = {'referee': {'pseudo_family': STAND_IN}}
    builder = NoiseWorkChain.get_builder_from_protocol(broken_code, reference, 'fast', referee)
    for node in (builder.tight, builder.referee):
        assert node['cutoff_factor'] == pytest.approx(0.4 * 1.25)
        assert node['kspacing_factor'] == pytest.approx(2.0 * 0.7)
        changed = {'cutoff_factor', 'kspacing_factor', 'pseudo_family'}
        assert all(node[key] == value for key, value in builder.settings.items() if key not in changed)
    assert builder.choice['tight']['cutoffs']['Si'] == pytest.approx(
        0.5 * REFERENCE_FAMILY.cutoffs(['Si'])['Si']['cutoff_wfc']
    )
    with pytest.raises(PcmError, match='not installed'):
        NoiseWorkChain.get_builder_from_protocol(broken_code, reference, 'fast')
    with pytest.raises(PcmError, match='Unknown key'):
        NoiseWorkChain.get_builder_from_protocol(broken_code, reference, overrides={'pw': {'ecut': 1}})


def test_noise_goes_with_the_parts_into_the_claim(aiida_profile_clean):
    drawn = draw(Recipe(), 3, 12)
    columns = {'energy': np.zeros(12), 'forces': np.zeros((drawn.n_atoms, 3)), 'stress': np.zeros((12, 3, 3))}
    whole = drawn.with_references(columns, [''] * 12, convention=Convention('PBE').as_dict())
    dataset = attach_noise(DatasetData(materials=whole), orm.Dict({'model': {'force': 0.017, 'stress': 0.3}}))
    assert dataset.base.attributes.get('noise') == {'force': 0.017, 'stress': 0.3}
    parts = {name: node.materials for name, node in split_dataset(dataset, orm.Str('force')).items()}
    part, box = parts['certification'], [{'feature': 'n_atoms', 'lo': 0.0, 'hi': 9.0, 'lo_ci': None, 'hi_ci': None}]
    for quantity, tolerance, measured in (('force', 0.15, 0.017), ('stress', 2.0, 0.3)):
        frozen = {'model': MODEL, 'quantity': quantity, 'tolerance': tolerance, 'requested': Fraction(1, 5), 'use': 1}
        assert make_claim(part=part, box=box, **frozen)['noise'] == measured
        assert noise_of(parts['search'], get_property(quantity)) == measured
        assert not any('not measured' in text for text in assumptions(part, get_property(quantity), {}, 'chgnet'))
    unchanged = split_dataset(DatasetData(materials=whole), orm.Str('force'))['certification'].materials
    assert unchanged.metadata['part_sha256'] == part.metadata['part_sha256'], 'noise opens no new part'


class Batch(pw_batch.PwBatchMixin):
    """The steps without AiiDA's engine: a run ends when the test says so."""

    def __init__(self, most: int) -> None:
        self.ctx = AttributeDict()
        self.inputs = SimpleNamespace(code=None, settings=orm.Dict({'name': 'own'}), max_concurrent=most)
        self.awaited: list = []

    def submit(self, _, **inputs):
        return SimpleNamespace(inputs=inputs, is_terminated=False, is_finished_ok=True, name=inputs['metadata'])

    def to_context(self, runs) -> None:
        self.awaited.append(runs)

    def report(self, text: str) -> None:
        self.said = text


@pytest.fixture
def bare_inputs(monkeypatch):
    monkeypatch.setattr(pw_batch, 'pw_inputs', lambda code, structure, settings: {'settings': settings})
    monkeypatch.setattr(pw_batch, 'append_', lambda run: run)


def test_window_is_filled_whenever_the_oldest_ends(bare_inputs):
    structures = {f'row_{row}': SimpleNamespace(label=f's{row}') for row in (5, 3)}
    batch = Batch(most=3)
    batch.queue(structures, [5, 3], {'tight': orm.Dict({'name': 't'}), 'referee': orm.Dict({'name': 'r'})})
    batch.run_some()
    assert batch.ctx.started == ['tight_row_5', 'referee_row_5', 'tight_row_3']
    first = batch.awaited[0]
    assert first.inputs['settings'] == {'name': 't'} and first.name['call_link_label'] == 'tight_row_5'
    running = list(batch.ctx.running)
    first.is_terminated = True
    batch.run_some()
    assert batch.ctx.started[3:] == ['referee_row_3'] and batch.awaited[1] is running[0]
    while batch.some_are_left():
        batch.run_some()
    assert [run.name['call_link_label'] for run in batch.awaited] == batch.ctx.started


def test_a_batch_without_variants_has_the_names_of_its_rows(bare_inputs):
    batch = Batch(most=2)
    batch.queue({'row_7': SimpleNamespace(label='s')}, [7])
    batch.run_some()
    assert batch.ctx.started == ['row_7'] and batch.awaited[0].inputs['settings'] == {'name': 'own'}
    assert not batch.some_are_left()
