"""`aiida-pcm dataset import`: what is stored, what is shown, exit status, nothing stored on error."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import ase.io
import pytest
import yaml
from aiida import orm
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_pcm.cli.dataset import import_
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.readers.manifest import TROUBLES

MANIFEST = {
    'label': 'mine',
    'id': 'name',
    'group': 'chemical-system',
    'pose': 'SINGLE_POINT',
    'convention': {
        'functional': 'PBE', 'hubbard': 'none', 'corrections': 'none', 'spin': 'none', 'pseudopotentials': 'PAW',
    },
    'references': {'energy': {'column': 'energy', 'unit': 'eV'}},
}  # fmt: skip


@pytest.fixture
def frames(tmp_path):
    """Path of an extxyz file with four frames, of which the last is the first again, and of its manifest."""
    written = []
    for number, factor in enumerate((1.0, 1.02, 1.04, 1.0)):
        atoms = bulk('NaCl', 'rocksalt', a=5.64 * factor)
        atoms.calc = SinglePointCalculator(atoms, energy=-7.0 + number)
        atoms.info['name'] = f'frame-{number}'
        written.append(atoms)
    path, manifest = tmp_path / 'frames.xyz', tmp_path / 'manifest.yaml'
    ase.io.write(path, written)
    manifest.write_text(yaml.safe_dump(MANIFEST))
    return str(path), str(manifest)


def n_nodes() -> int:
    return orm.QueryBuilder().append(orm.Node).count()


def test_options_and_troubles_are_the_same():
    options = {option.name: option.type.choices for option in import_.params if option.name.startswith('on_')}
    assert options == {f'on_{name}': words for name, words in TROUBLES.items()}


def test_an_import_is_a_node_with_its_manifest(run, aiida_profile_clean, frames):
    path, manifest = frames
    status, output, _ = run('dataset', 'import', path, '--manifest', manifest, '--on-duplicate', 'drop', '--json')
    assert status == 0
    shown = json.loads(output)
    node = orm.load_node(shown['uuid'])
    assert isinstance(node, DatasetData) and node.label == 'mine'
    assert (shown['rows_read'], shown['rows_kept']) == (4, 3)
    assert shown['dropped'] == {'duplicate': ['frame-3']}
    imported = node.base.attributes.get('imported')
    assert imported['manifest'] == {**MANIFEST, 'when': {'duplicate': 'drop'}}
    assert imported['source'] == 'frames.xyz' and 'dropped' not in imported
    assert node.materials.metadata['imported']['dropped'] == {'duplicate': ['frame-3']}
    assert node.base.attributes.get('has_structures') is True
    again = json.loads(run('dataset', 'import', path, '--manifest', manifest, '--on-duplicate', 'drop', '--json')[1])
    assert again['uuid'] == shown['uuid'] and n_nodes() == 1
    assert run('dataset', 'show', 'mine', '--json')[0] == 0


def test_what_is_wrong_is_shown_to_a_person(run, aiida_profile_clean, frames):
    path, manifest = frames
    status, output, _ = run('dataset', 'import', path, '--manifest', manifest, '--on-duplicate', 'keep', '--dry-run')
    assert status == 0 and n_nodes() == 0
    assert '1 rows duplicate, kept; for example frame-3: the structure of frame-0' in output


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'duplicate 1 (frame-3: the structure of frame-0)'),
        (['--set', 'references.energy.column=e'], 'No row has a column e.'),
        (['--set', 'references.energy.unit=kcal/mol'], "unit of energy cannot be 'kcal/mol'"),
        (['--set', 'pose='], 'Nobody states the pose'),
        (['--set', 'pose'], 'sets nothing'),
        (['--manifest', 'nowhere.yaml'], 'The manifest nowhere.yaml cannot be read'),
    ],
)
def test_bad_input_is_two_lines_and_stores_nothing(run, aiida_profile_clean, frames, arguments, message):
    path, manifest = frames
    status, output, errors = run('dataset', 'import', path, '--manifest', manifest, *arguments)
    assert (status, output) == (2, '')
    first, second = errors.strip().splitlines()
    assert first.startswith('Error: ') and message in first
    assert second
    assert n_nodes() == 0


def test_broken_files_are_bad_input(run, aiida_profile_clean, frames, tmp_path):
    path, manifest = frames
    cut, empty = tmp_path / 'cut.xyz.gz', tmp_path / 'empty.csv'
    cut.write_bytes(gzip.compress(Path(path).read_bytes() * 50)[:-30])
    empty.write_text('')
    for broken, more in ((cut, []), (empty, ['--set', 'structure=cif']), (tmp_path / 'nowhere.xyz', [])):
        status, output, errors = run('dataset', 'import', str(broken), '--manifest', manifest, *more)
        assert (status, output, len(errors.strip().splitlines())) == (2, '', 2), errors
    assert n_nodes() == 0


def test_without_a_manifest_everything_can_be_set(run, aiida_profile_clean, frames):
    path, _ = frames
    texts = ['label=mine', 'id=name', 'group=formula', 'pose=SINGLE_POINT', 'when.duplicate=drop']
    texts += [f'convention.{name}={value}' for name, value in MANIFEST['convention'].items()]
    texts += ['references.energy.column=energy', 'references.energy.unit=eV']
    arguments = [word for text in texts for word in ('--set', text)]
    status, output, errors = run('dataset', 'import', path, *arguments, '--json')
    assert status == 0, errors
    assert json.loads(output)['references'] == ['energy']


@pytest.fixture
def group(aiida_profile_clean):
    """A group of two structures, one with an energy among its extras."""
    made = orm.Group(label='structures').store()
    for number, name in enumerate(('NaCl', 'MgO')):
        node = orm.StructureData(ase=bulk(name, 'rocksalt', a=5.0))
        node.label = name
        node.store()
        if not number:
            node.base.extras.set('dft', -3.5)
        made.add_nodes(node)
    return made


def test_a_group_of_structures_keeps_its_provenance(run, group):
    texts = ['id=label', 'references.energy.column=dft', 'references.energy.unit=eV/atom', 'when.missing=keep']
    stated = [word for text in texts for word in ('--set', text)]
    manifest = [
        word for key, value in MANIFEST['convention'].items() for word in ('--set', f'convention.{key}={value}')
    ]
    basic = [word for key in ('label', 'pose', 'group') for word in ('--set', f'{key}={MANIFEST[key]}')]
    status, output, errors = run('dataset', 'import', 'aiida-group:structures', *stated, *manifest, *basic, '--json')
    assert status == 0, errors
    node = orm.load_node(json.loads(output)['uuid'])
    assert node.materials.ids.tolist() == ['NaCl', 'MgO']
    assert node.materials.references['energy'][0] == -7.0
    assert node.materials.causes.tolist() == ['', 'energy is missing']
    inputs = node.creator.inputs
    assert {inputs[name].uuid for name in inputs if name.startswith('structure_')} == {n.uuid for n in group.nodes}
    assert node.creator.is_finished_ok
    group.add_nodes(orm.Int(1).store())
    status, _, errors = run('dataset', 'import', 'aiida-group:structures', *stated, *manifest, *basic)
    assert status == 2 and 'is no StructureData' in errors
    assert run('dataset', 'import', 'aiida-group:none', *stated, *manifest, *basic)[0] == 2
