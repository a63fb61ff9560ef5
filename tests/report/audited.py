"""A small audit as it lies in the graph, by the calcfunctions of an audit on predictions and runs that are made up.

The model is wrong on heavy materials, by forces; Quantum ESPRESSO is the reference with a little noise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
from aiida import orm

from aiida_pcm.calcfunctions.compare_with_referee import compare_with_referee
from aiida_pcm.calcfunctions.draft_certificate import draft_certificate
from aiida_pcm.calcfunctions.draw_envelope import draw_envelope
from aiida_pcm.calcfunctions.fit_risk import fit_risk
from aiida_pcm.calcfunctions.freeze_claim import freeze_claim
from aiida_pcm.calcfunctions.search_failures import search_failures
from aiida_pcm.calcfunctions.select_candidates import select_candidates
from aiida_pcm.calcfunctions.split_dataset import split_dataset
from aiida_pcm.calcfunctions.tabulate import tabulate
from aiida_pcm.data.arrays import pack_evaluation
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.science import certificate as schema
from aiida_pcm.science.failure import Evaluation
from aiida_pcm.science.features import table
from aiida_pcm.science.materials import all_elements
from aiida_pcm.science.risk import LIGHT

from ..stored import chain, function
from ..synthetic import PLAIN_PBE, generated

N = 150
HEAVY = 40.0
TOLERANCE = 0.15
NO_BOX = 'No envelope could be drawn: the test says so'
FEATURES = ['atomic_number_mean', 'volume_per_atom', 'n_atoms', 'electronegativity_range']
EVIL = '</script><script>alert(1)</script><img src=x onerror=alert(2)>'
PEELING = {'peel': 0.1, 'smallest': 0.2, 'target': 1.0, 'chance': 0.5, 'resamples': 30}


@dataclass
class Audited:
    """Nodes of the audit."""

    audit: orm.WorkChainNode
    stopped: orm.WorkChainNode
    early: orm.WorkChainNode
    campaign: orm.WorkChainNode
    certificate: CertificateData
    search: DatasetData
    part: DatasetData
    log: orm.ArrayData
    envelope: orm.Dict
    validation: orm.Dict
    report: orm.Dict


def audited() -> Audited:
    """Make all of them in the profile that is loaded."""
    dataset = DatasetData(materials=_materials()).store()
    described = {
        'kind': 'chgnet', 'name': 'made up', 'weights_sha256': 'd' * 64, 'package': 'chgnet', 'version': '0',
        'license': 'none', 'arguments': {},
    }  # fmt: skip
    model = ModelData(described, dataset.convention)
    model.label = 'made-up'
    model.store()
    quantity, tolerance, rate = orm.Str('force'), orm.Float(TOLERANCE), orm.Str('1/5')
    parts = split_dataset(dataset, quantity)
    search, part = parts['search'], parts['certification']
    said = {name: _evaluated(node, model, seed) for seed, (name, node) in enumerate(parts.items())}
    names = orm.List(FEATURES)
    plain = tabulate(search, said['search'], quantity, names)
    log = search_failures(search, plain, tolerance, orm.List(['random', 'portfolio']), orm.Int(20), orm.Int(0))
    learned = fit_risk(search, said['search'], plain, tolerance, rate, orm.Dict(asdict(LIGHT)))
    drawn = draw_envelope(search, learned['table'], tolerance, rate, orm.Dict(PEELING), orm.Int(0))
    validation = _validated(search, said['search'], learned['table'], log, drawn['envelope'], quantity, tolerance)
    claim = freeze_claim(part, drawn['envelope'], model, quantity, tolerance, rate, orm.Int(1))
    rows = tabulate(part, said['certification'], quantity, names, learned['risk'])
    draft = draft_certificate(
        claim, part, rows, validation=validation, query_log=log, risk_report=learned['report'],
        replicates=drawn['replicates'],
    )  # fmt: skip
    certificate = CertificateData(schema.loads(draft.get_content(mode='rb')))
    function('seal_certificate', {'draft': draft}, {'certificate': certificate})
    asked = {'model': model, 'dataset': dataset, 'property': quantity, 'tolerance': tolerance, 'failure_rate': rate}
    made = {'query_log': log, 'evaluation': said['search'], 'envelope': drawn['envelope']}
    given = {'dataset': search, 'evaluation': said['search'], 'table': learned['table'], 'query_log': log,
             'envelope': drawn['envelope'], 'property': quantity, 'tolerance': tolerance}  # fmt: skip
    return Audited(
        audit=chain('AuditWorkChain', asked, {**made, 'certificate': certificate, 'validation': validation}),
        stopped=chain('AuditWorkChain', asked, {name: made[name] for name in ('query_log', 'evaluation')}, 411, NO_BOX),
        early=chain('AuditWorkChain', asked, {}, 410, NO_BOX),
        campaign=chain('ValidateWorkChain', given, {'validation': validation}),
        certificate=certificate,
        search=search,
        part=part,
        log=log,
        envelope=drawn['envelope'],
        validation=validation,
        report=learned['report'],
    )


def _materials():
    """Compounds of the recipe with forces; one reference is missing, and one name would like to be a script."""
    materials = generated(N)
    forces = np.random.default_rng(0).normal(0, 0.3, (materials.n_atoms, 3))
    forces[materials.atom_slice(7)] = np.nan
    ids = [EVIL if row == 3 else str(one) for row, one in enumerate(materials.ids)]
    causes = ['left out by the test' if row == 7 else '' for row in range(N)]
    stated = {'label': 'made up', 'convention': PLAIN_PBE.as_dict()}
    return replace(materials, ids=np.array(ids)).with_references({'forces': forces}, causes, **stated)


def _evaluated(part: DatasetData, model: ModelData, seed: int) -> orm.ArrayData:
    materials, random = part.materials, np.random.default_rng(seed)
    heavy = table(materials, names=['atomic_number_mean'])['atomic_number_mean'] > HEAVY
    spread = np.repeat(np.where(heavy, 0.2, 0.03), np.diff(materials.offsets))[:, None]
    # Where the reference is missing the model has a value all the same.
    forces = np.nan_to_num(materials.references['forces']) + random.normal(0, 1, (materials.n_atoms, 3)) * spread
    status = np.zeros(len(materials), dtype=np.int8)
    status[0], forces[materials.atom_slice(0)] = 1, np.nan
    n = len(materials)
    said = Evaluation(status, np.zeros(n), forces, np.zeros((n, 3, 3)))
    node = pack_evaluation(said)
    function('evaluate', {'dataset': part, 'model': model}, {'evaluation': node})
    return node


def _validated(search, evaluation, rows, log, envelope, quantity, tolerance) -> orm.Dict:
    materials = search.materials
    elements = all_elements(materials)
    settings = {
        'cutoffs': dict.fromkeys(elements, 30.0), 'valence': dict.fromkeys(elements, 4.0),
        'kpoints_distance': {'metal': 0.3, 'covalent': 0.4, 'other': 0.5}, 'n_worst': 4, 'n_controls': 3,
        'max_cost': 1e12,
    }  # fmt: skip
    chosen = select_candidates(search, rows, log, envelope, orm.Dict(settings))
    results: dict = {}
    picked = [*chosen['worst'], *chosen['controls']]
    for row in picked[1:]:
        forces = materials.references['forces'][materials.atom_slice(row)] + 0.01
        results[f'parameters_row_{row}'] = orm.Dict({'energy': -1.0, 'wall_time_seconds': 2.0})
        results[f'trajectory_row_{row}'] = orm.ArrayData({'forces': forces[None], 'stress': np.zeros((1, 3, 3))})
    causes = orm.Dict({f'row_{picked[0]}': 'no convergence'})
    referee = orm.Dict({'pseudo_family': 'another', 'cutoff_factor': 1.25, 'kspacing_factor': 0.7})
    return compare_with_referee(search, evaluation, quantity, tolerance, chosen, causes, referee, orm.Int(0), **results)
