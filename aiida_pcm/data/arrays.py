"""How what `science` computes is packed into nodes, and unpacked again; nothing is ever unpickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from aiida import orm

from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.science.certification import Table
from aiida_pcm.science.dft import PwResult
from aiida_pcm.science.envelope import Envelope
from aiida_pcm.science.evaluation import ARRAYS
from aiida_pcm.science.failure import FEATURES, OPTIONAL, Errors, Evaluation, get_property
from aiida_pcm.science.falsification import QueryLog
from aiida_pcm.science.features.scores import POPS, name_of
from aiida_pcm.science.formation import Bias, ElementalReferences, solve_references
from aiida_pcm.science.materials import Array
from aiida_pcm.science.misspecification import PopsModel
from aiida_pcm.science.plain import plain
from aiida_pcm.science.reliability import ProbeModel
from aiida_pcm.science.scorer import Scorer

RISK_FILE, POPS_FILE = 'risk.npz', 'pops.npz'


def evaluation_of(node: orm.ArrayData) -> Evaluation:
    """The predictions that pcm.evaluate gave, or pcm.fit_volumes and pcm.form_energies made of them."""
    more = [name for name in (*OPTIONAL, *FEATURES) if name in node.get_arraynames()]
    return Evaluation(**{name: node.get_array(name) for name in (*ARRAYS, *more)})


def evaluations_of(nodes: Mapping[str, orm.ArrayData]) -> dict[str, Evaluation]:
    """Predictions by model, from nodes called ``evaluation_<model>``."""
    return {name.removeprefix('evaluation_'): evaluation_of(node) for name, node in nodes.items()}


def pack_evaluation(evaluation: Evaluation) -> orm.ArrayData:
    """The inverse of `evaluation_of`."""
    arrays = {name: getattr(evaluation, name) for name in (*ARRAYS, *OPTIONAL, *FEATURES)}
    return orm.ArrayData({name: array for name, array in arrays.items() if array is not None})


def references_of(node: orm.Dict | DatasetData) -> ElementalReferences:
    """Elemental references as somebody stated them, or solved from the energies of a data set.

    :raises PcmError: what `ElementalReferences.from_dict` or `solve_references` refuses.
    """
    if isinstance(node, DatasetData):
        return solve_references(node.materials, f'elements of {node.label or node.content_sha256[:8]}')
    return ElementalReferences.from_dict(node.get_dict())


def pack_bias(table: Sequence[Bias], references: ElementalReferences) -> orm.Dict:
    """The bias of each class of materials, and the elemental references that were taken off."""
    classes = plain([asdict(bias) for bias in table])
    return orm.Dict({'unit': 'eV/atom', 'classes': classes, 'references': references.as_dict()})


def bias_of(node: orm.Dict) -> list[Bias]:
    """The table that `pack_bias` wrote."""
    unknown: dict[str, Any] = {'low': np.nan, 'high': np.nan}
    return [Bias(**unknown | {k: v for k, v in row.items() if v is not None}) for row in node['classes']]


def pack_table(table: Table) -> orm.ArrayData:
    """Features (n, d), errors (n,) and their status (n,); names and property as attributes."""
    node = orm.ArrayData()
    names = list(table.features)
    node.set_array('features', np.stack([table.features[name] for name in names], axis=1))
    node.set_array('error', table.errors.error)
    node.set_array('status', np.asarray(table.errors.status, dtype=np.str_))
    node.base.attributes.set_many({'feature_names': names, 'property': table.errors.of.name, **table.errors.counts()})
    return node


def table_of(node: orm.ArrayData) -> Table:
    """The inverse of `pack_table`."""
    columns = node.get_array('features')
    features = {name: columns[:, i] for i, name in enumerate(node.base.attributes.get('feature_names'))}
    of = get_property(node.base.attributes.get('property'))
    return Table(features, Errors(of, node.get_array('error'), node.get_array('status')))


def pack_query_log(log: QueryLog, rows: Array) -> orm.ArrayData:
    """One node for the whole log; what was found by whom as attributes.

    :param rows: (n,) row of the part behind each row that could be asked for; those without a reference are not there.
    """
    node = orm.ArrayData()
    for name in ('strategy', 'arm', 'proposal', 'id', 'distance', 'error', 'failed'):
        node.set_array(name, getattr(log, name))
    node.set_array('row', rows[log.row])
    node.set_array('counterexamples', rows[log.counterexamples()])
    found = {}
    for name in np.unique(log.strategy):
        curve = log.discovery(str(name))
        found[str(name)] = {
            'queries': len(curve.found),
            'failures': int(curve.found[-1]),
            'expected_at_random': float(curve.expected[-1]),
        }
    node.base.attributes.set_many(
        {
            'strategies': found,
            'remarks': dict(log.remarks),
            'n_rows': log.n_rows,
            'n_failures': log.n_failures,
            'filled': log.filled,
        }
    )
    return node


def query_log_of(node: orm.ArrayData) -> QueryLog:
    """What `pack_query_log` packed; features of the proposals and a player's transcript are not in the graph.

    :return: with ``row`` as rows of the part.
    """
    about = node.base.attributes.all
    strategy, arm = _players(node)
    kept: dict[str, Any] = {
        name: node.get_array(name) for name in ('proposal', 'row', 'id', 'distance', 'error', 'failed')
    }
    kept |= {name: about[name] for name in ('n_rows', 'n_failures', 'filled')}
    return QueryLog(features=(), strategy=strategy, arm=arm, transcript='', remarks=about.get('remarks') or {}, **kept)


def _players(node: orm.ArrayData) -> tuple[Array, Array]:
    """Strategy and arm of each query (q,); logs of the first versions have no arms."""
    strategy = node.get_array('strategy')
    return strategy, node.get_array('arm') if 'arm' in node.get_arraynames() else strategy


def proposers(node: orm.ArrayData) -> Array:
    """Who proposed each query of a log (q,), ``portfolio: heuristic`` for an adversary that a portfolio let play.

    Older logs do not know the adversaries of a portfolio: then it is ``portfolio`` alone.
    """
    strategy, arm = _players(node)
    return np.array([one if one == own else f'{one}: {own}' for one, own in zip(strategy, arm, strict=True)])


def pack_envelope(envelope: Envelope, unknown: int) -> tuple[orm.Dict, orm.ArrayData, orm.ArrayData]:
    """The box with how it was picked, the curve from which it was, and where its ends lay in the resamples.

    :param unknown: rows inside without a reference, which are among those that failed.
    """
    resampled = envelope.replicates.shape[1] > 0
    box = [
        {
            'feature': name,
            'lo': float(envelope.lo[i]),
            'hi': float(envelope.hi[i]),
            'lo_ci': envelope.lo_ci[i].tolist() if resampled else None,
            'hi_ci': envelope.hi_ci[i].tolist() if resampled else None,
        }
        for i, name in enumerate(envelope.features)
    ]
    scalars = ['coverage', 'failure_rate', 'rows', 'failed', 'groups_inside', 'n_groups']
    scalars += ['requested', 'reached', 'restricted_to', 'fresh_rate', 'chance', 'reason']
    curve = orm.ArrayData()
    for name in ('coverage', 'failure_rate', 'rows', 'failed', 'peeled', 'groups', 'fresh_rate', 'chance'):
        curve.set_array(name, np.asarray(getattr(envelope.curve, name)))
    about = {name: getattr(envelope, name) for name in scalars}
    replicates = orm.ArrayData()
    replicates.set_array('lo', envelope.replicates[0])
    replicates.set_array('hi', envelope.replicates[1])
    return orm.Dict({'box': box, **about, 'unknown': unknown}), curve, replicates


def pack_risk(scorer: Scorer) -> orm.SinglefileData:
    """A frozen risk model, and what scores beside it; plain arrays, hash, scores and features as attributes."""
    node = orm.SinglefileData.from_bytes(scorer.to_bytes(), filename=RISK_FILE)
    about = {'sha256': scorer.sha256, 'scores': sorted(scorer.names), 'features': list(scorer.risk.features)}
    node.base.attributes.set_many(about)
    return node


def risk_of(node: orm.SinglefileData) -> Scorer:
    """The inverse of `pack_risk`; PcmError for another file."""
    return Scorer.from_bytes(node.get_content(mode='rb'))


def probe_of(classifier: orm.SinglefileData | None, scores: orm.ArrayData | None) -> tuple[ProbeModel, Array] | None:
    """A fitted PROBE and its out-of-fold probabilities (n,), from the outputs of pcm.probe; None without."""
    if classifier is None or scores is None:
        return None
    return ProbeModel.from_bytes(classifier.get_content(mode='rb')), scores.get_array('held_out')


def pack_pops(model: PopsModel) -> orm.SinglefileData:
    """A frozen POPS model; plain arrays, its hash and what it was fitted on as attributes."""
    node = orm.SinglefileData.from_bytes(model.to_bytes(), filename=POPS_FILE)
    about = {'sha256': model.sha256, 'rows': model.rows, 'parameters': len(model.coefficients), 'score': model.score}
    node.base.attributes.set_many(about)
    return node


def pops_of(node: orm.SinglefileData) -> PopsModel:
    """The inverse of `pack_pops`; PcmError for a file that is no POPS model."""
    return PopsModel.from_bytes(node.get_content(mode='rb'))


def pack_pops_scores(model: PopsModel, scores: Array) -> orm.ArrayData:
    """Scores (n,) of rows, eV/atom, and the name that a box has for them."""
    node = orm.ArrayData({'score': scores})
    node.base.attributes.set_many({'name': name_of(model.sha256, POPS), 'unit': 'eV/atom'})
    return node


def pw_results(nodes: Mapping[str, Any]) -> dict[int, PwResult]:
    """Results of pw.x by row, from ``parameters_row_<number>`` and ``trajectory_row_<number>``."""
    rows = [int(name.removeprefix('parameters_row_')) for name in nodes if name.startswith('parameters_row_')]
    return {
        row: PwResult(
            energy=nodes[f'parameters_row_{row}']['energy'],
            forces=nodes[f'trajectory_row_{row}'].get_array('forces')[-1],
            stress_gpa=nodes[f'trajectory_row_{row}'].get_array('stress')[-1],
        )
        for row in rows
    }
