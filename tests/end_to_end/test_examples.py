"""The examples run as they are, on the reference that ships with the package.

The first one runs here without a code for pw.x, because its four validations take minutes; tests/workchains has pw.x.
"""

from __future__ import annotations

import json
import runpy
from collections import Counter

import pytest
from aiida import orm

from aiida_pcm.graph.closure import ancestors
from aiida_pcm.graph.lineage import lineage
from aiida_pcm.science.conventions import Convention
from aiida_pcm.setup.models import add_model, find_or_make_model

from ..models import run_selftest, small_mace  # noqa: F401  pytest finds the fixture by its name here

pytestmark = pytest.mark.slow


@pytest.fixture
def set_up_codes(aiida_profile_clean):
    """The codes that `aiida-pcm setup` makes, in the profile of the tests, except pw.x."""
    from aiida_pcm.setup import codes, profile

    profile.get_or_create_computer()
    for spec in codes.specs():
        if spec.role != 'pw':
            assert codes.get_or_create_code(spec).state == 'made'


@pytest.fixture
def set_up(set_up_codes):
    """What `aiida-pcm setup` makes, except pw.x and the families."""
    from aiida_pcm.setup import reference

    assert reference.get_or_import().state == 'made'


def test_first_certificate(set_up, root, capsys):
    names = runpy.run_path(str(root / 'examples' / '01_first_certificate.py'), run_name='__main__')
    said = capsys.readouterr().out
    certificate, reference, model = names['certificate'], names['reference'], names['model']
    assert certificate.uuid in said and certificate.document['verdict'] in said
    assert certificate.document['claim']['frame'] == 'GENERATED'
    assert certificate.document['lean']['axioms'] == []

    behind = ancestors(certificate)
    labels = Counter(node.process_label for node in behind if isinstance(node, orm.ProcessNode))
    # Every row that converged, twice those of which the noise was measured, and runs that others were continued from.
    noise = next(node for node in behind if getattr(node, 'process_label', None) == 'measure_noise')
    converged = reference.n_rows - reference.base.attributes.get('n_missing_references')
    assert labels['PwCalculation'] >= converged + 2 * len(noise.outputs.result['rows'])
    assert labels['draw_materials'] == labels['collect_reference'] == 1
    uuids = {node.uuid for node in behind}
    assert {model.uuid, reference.uuid} <= uuids
    assert any(isinstance(node, orm.Dict) and 'rattle' in node.get_dict() for node in behind), 'the recipe'
    assert any('z_valence' in node.base.attributes.all for node in behind), 'the pseudopotentials'
    picture = lineage(certificate)
    assert picture.boxes['PwCalculation'].number == labels['PwCalculation']
    assert len(picture.dot().splitlines()) < 200


@pytest.mark.shared
def test_three_potentials(set_up, root, shared, small_mace, tmp_path, monkeypatch, capsys):  # noqa: F811
    """CHGNet, TensorNet and a MACE, which knows few elements and misses the others."""
    tensornet = shared / 'models' / 'TensorNet-MatPES-PBE-v2025.1' / 'matgl4'
    models = [
        find_or_make_model('chgnet-0.3.0'),
        add_model(f'matgl:{tensornet}', None, label='tensornet'),
        add_model(f'mace:{small_mace}', None, Convention('PBE'), label='mace', trust_pickle=True),
    ]
    code = orm.load_code('pcm-python@localhost')
    for model in models:
        run_selftest(code, model, ['Mg', 'O'] if model.label == 'mace' else ['Si'])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('sys.argv', ['03_three_potentials.py', *(model.label for model in models)])
    names = runpy.run_path(str(root / 'examples' / '03_three_potentials.py'), run_name='__main__')
    said = capsys.readouterr().out
    missed, rows = names['missed'], names['search'].n_rows
    parts = [missed[kind]['count'] for kind in ('all', 'none', 'exactly_one')]
    assert missed['rows'] == rows and 0 < sum(parts) <= rows
    assert all(f'missed by {kind}: ' in said for kind in ('all', 'none', 'exactly one'))
    pairs = {'chgnet_0_3_0 and mace', 'chgnet_0_3_0 and tensornet', 'mace and tensornet'}
    assert pairs <= set(said.splitlines())
    assert 'tensornet' in (tmp_path / 'comparison.html').read_text()


@pytest.mark.qe
def test_validation_campaign(reference_family, set_up_codes, pw_code, root, tmp_path, monkeypatch, capsys):
    """Real CHGNet, Lean and pw.x, one of each role and numerics that decide nothing; a second run only tells."""
    source = (root / 'examples' / '04_validation_campaign.py').read_text()
    for line, other in (
        ("FAMILY = 'PseudoDojo/0.5/PBE/SR/standard'", f'FAMILY = {reference_family.label!r}'),
        ("'n_worst': 20, 'n_controls': 20", "'n_worst': 1, 'n_controls': 1"),
        ("'cutoff_factor': 1.0, 'kspacing_factor': 1.5", "'cutoff_factor': 0.4, 'kspacing_factor': 4.0"),
    ):
        assert source.count(line) == 1
        source = source.replace(line, other)
    (tmp_path / '04_validation_campaign.py').write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('sys.argv', ['04_validation_campaign.py', 'reference', '--here'])
    first, again = (
        runpy.run_path(str(tmp_path / '04_validation_campaign.py'), run_name='__main__')['campaign'] for _ in range(2)
    )
    assert first.uuid == again.uuid and first.is_finished_ok
    told = json.loads((tmp_path / 'campaign.json').read_text())
    assert told['campaign'] == first.uuid and {row['role'] for row in told['rows']} == {'worst', 'controls'}
    said = capsys.readouterr().out
    assert all(row['id'] in said for row in told['rows']) and 'median of |F_DFT| / |F_model|' in said


@pytest.mark.qe
def test_refute(reference_family, set_up_codes, pw_code, root, tmp_path, capsys):
    """Real CHGNet, Lean and pw.x, with one picked and two drawn and numerics that decide nothing, to save an hour."""
    source = (root / 'examples' / '07_refute.py').read_text()
    loose = {'pseudo_family': reference_family.label, 'cutoff_factor': 0.4, 'kspacing_factor': 4.0}
    for line, other in (
        ('LISTED, SMALL, PICKED, DRAWN = 200, 4, 8, 30', 'LISTED, SMALL, PICKED, DRAWN = 40, 2, 1, 2'),
        ("'referee': {'cutoff_factor': 1.0, 'kspacing_factor': 1.5}", f"'referee': {loose}"),
    ):
        assert source.count(line) == 1
        source = source.replace(line, other)
    (tmp_path / '07_refute.py').write_text(source)
    names = runpy.run_path(str(tmp_path / '07_refute.py'), run_name='__main__')
    said, judged, found = capsys.readouterr().out, names['judged'], names['found']
    assert names['document']['verdict'] == 'CERTIFIED' and names['document']['replicates']
    assert (found['submitted'], found['inside']) == (1, 1) and found['failures'] in (0, 1)
    assert (judged['submitted'], judged['enough'], judged['verdict']) == (2, 20, 'STANDS')
    assert names['draw']['seed'] in source and names['draw'].uuid in said
