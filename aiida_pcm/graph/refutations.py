"""What was held against a certificate: draws and found failures, asked of the graph and never stored in it."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida import orm

from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph import walk
from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.failure import get_property
from aiida_pcm.science.features.scores import is_of, is_score
from aiida_pcm.science.materials import missing_references, structure_hashes
from aiida_pcm.science.refutation import REFUTED, STANDS

REGISTER, JUDGE, FIND = 'register_draw', 'judge_draw', 'find_refutation'


def draws_of(certificate: CertificateData) -> list[orm.Dict]:
    """Draws that were registered against a certificate, oldest first."""
    return _made_by(certificate, REGISTER, {'attributes': {'has_key': 'seed'}})


def refutation(certificate: CertificateData) -> dict[str, Any]:
    """What `certificate show` prints: ``found``, ``drawn``, ``draws``, ``zero_failures``, ``verdict``.

    ``drawn`` is the draw that refutes, or the one judged last; None where none was registered. ``zero_failures`` says
    what became of the stronger reading of a certificate that counted none: a single found failure refutes that one,
    and never the bound. ``verdict`` is None where nobody has held anything against it.
    """
    found, draws = _found(certificate), _draws(certificate)
    counted = certificate.document['counts']['failed'] > 0
    failed = found or any(draw['failed'] for draw in draws)
    verdict = REFUTED if any(draw['verdict'] == REFUTED for draw in draws) else STANDS
    return {
        'found': found,
        'drawn': max(draws, key=lambda draw: (draw['verdict'] == REFUTED, draw['judged_at'])) if draws else None,
        'draws': draws,
        'zero_failures': 'not claimed' if counted else (REFUTED if failed else STANDS),
        'verdict': verdict if found or any(draw['judged'] for draw in draws) else None,
    }


def refuted() -> set[str]:
    """uuids of the certificates that a draw has refuted."""
    query = orm.QueryBuilder().append(CertificateData, project='uuid', tag='certificate')
    judged = {'attributes.process_label': JUDGE}
    query.append(orm.CalcFunctionNode, with_incoming='certificate', filters=judged, tag='made')
    query.append(orm.Dict, with_incoming='made', filters={'attributes.verdict': REFUTED})
    return set(query.all(flat=True))


def _found(certificate: CertificateData) -> list[dict[str, Any]]:
    """Confirmed failures inside the box, one entry for each material."""
    seen: dict[str, dict[str, Any]] = {}
    for node in _made_by(certificate, FIND, {}):
        for row in (row for row in node['rows'] if row['failure']):
            evidence = {name: row[name] for name in ('id', 'group', 'error', 'judgement')}
            seen.setdefault(row['id'], {**evidence, 'convention': node['convention'], 'uuid': node.uuid})
    return list(seen.values())


def _draws(certificate: CertificateData) -> list[dict[str, Any]]:
    judged: dict[str, list[orm.Dict]] = {}
    for node in _made_by(certificate, JUDGE, {}):
        judged.setdefault(node['draw_uuid'], []).append(node)
    return [_state(draw, judged.get(draw.uuid, [])) for draw in draws_of(certificate)]


def _state(draw: orm.Dict, judged: list[orm.Dict]) -> dict[str, Any]:
    """Where a draw stands: by the judgement that refutes, otherwise by the last."""
    about = {'uuid': draw.uuid, **{name: draw[name] for name in ('seed', 'list', 'frame', 'number', 'enough')}}
    begun = {'submitted': draw['n'], 'judged': 0, 'failed': 0, 'e_value': 1.0, 'largest': 1.0, 'verdict': STANDS}
    if not judged:
        return {**about, **begun, 'evidence': None, 'judged_at': 0}
    last = max(judged, key=lambda node: (node['verdict'] == REFUTED, node.pk or 0))
    return {**about, **{name: last[name] for name in begun}, 'evidence': last.uuid, 'judged_at': last.pk or 0}


def _made_by(certificate: CertificateData, function: str, filters: dict[str, Any]) -> list[orm.Dict]:
    query = orm.QueryBuilder().append(CertificateData, filters={'uuid': certificate.uuid}, tag='certificate')
    finished = {'attributes.process_label': function, 'attributes.exit_status': 0}
    query.append(orm.CalcFunctionNode, with_incoming='certificate', filters=finished, tag='made')
    query.append(orm.Dict, with_incoming='made', filters=filters, tag='node').order_by({'node': [{'id': 'asc'}]})
    found: list[orm.Dict] = query.all(flat=True)
    return found


def find_draw(certificate: CertificateData, identifier: str) -> orm.Dict:
    """The draw of a certificate that a pk, uuid, uuid prefix or seed means.

    :raises PcmError: none, or more than one.
    """
    draws = draws_of(certificate)
    readings = (
        [draw for draw in draws if str(draw.pk) == identifier],
        [draw for draw in draws if draw.uuid.startswith(identifier)],
        [draw for draw in draws if draw['seed'] == identifier],
    )
    for found in readings:
        if len(found) == 1:
            return found[0]
    known = ', '.join(f'{draw.uuid[:8]} ({draw["seed"]})' for draw in draws) or 'none'
    raise PcmError(f'{identifier!r} means no draw against this certificate.', f'Registered: {known}.')


def find_same_draw(certificate: CertificateData, listed: DatasetData, n: int, seed: str) -> orm.Dict | None:
    """The draw that was registered for the same list, number and seed."""
    wanted = (listed.content_sha256, n, seed)
    draws = draws_of(certificate)
    return next((draw for draw in draws if (draw['list_sha256'], draw['n'], draw['seed']) == wanted), None)


def drawn_by(draw: orm.Dict) -> DatasetData:
    """The materials of a draw, in its order."""
    assert draw.creator is not None
    drawn: DatasetData = draw.creator.outputs.drawn
    return drawn


def known_rows(listed: DatasetData, quantity: str) -> list[int]:
    """Rows of a list whose reference is in the graph already: who knows it can choose a seed that draws it."""
    wanted = get_property(quantity).reference
    rows = structure_hashes(listed.materials)
    ours, known = set(rows), set()
    for other in orm.QueryBuilder().append(DatasetData).all(flat=True):
        if wanted in other.base.attributes.get('references', []):
            known |= ours.intersection(_with_values(other, wanted))
    return [row for row, text in enumerate(rows) if text in known]


def _with_values(dataset: DatasetData, column: str) -> list[str]:
    materials, hashes = dataset.materials, structure_hashes(dataset.materials)
    if missing_references(materials) == 0:
        return hashes
    values = materials.references[column]
    rows = range(len(materials))
    spans = [materials.atom_slice(row) if column == 'forces' else row for row in rows]
    return [hashes[row] for row in rows if np.isfinite(values[spans[row]]).all()]


def model_of(certificate: CertificateData) -> ModelData:
    """The potential that a certificate is about, by the hash of its weights: from its own past, or any of the profile.

    :raises PcmError: where it is not here.
    """
    weights = certificate.base.attributes.get('weights_sha256')
    known = walk.nodes_behind([int(certificate.pk or 0)])
    for model in (orm.load_node(pk) for pk, node in known.items() if node.type == ModelData.class_node_type):
        if isinstance(model, ModelData) and model.weights_sha256 == weights:
            return model
    query = orm.QueryBuilder().append(ModelData, filters={'attributes.weights_sha256': weights}, tag='model')
    found: ModelData | None = query.order_by({'model': [{'id': 'asc'}]}).first(flat=True)
    if found is None:
        raise PcmError(
            f'The model of this certificate, weights {weights[:12]}, is not here.', 'Add it: aiida-pcm model add'
        )
    return found


def risk_model_of(certificate: CertificateData) -> orm.SinglefileData | None:
    """The frozen risk model of which the box has a side; None where it has none.

    :raises PcmError: where the box has such a side and the model is not here.
    """
    wanted = [side['feature'] for side in certificate.document['claim']['box'] if is_score(side['feature'])]
    if not wanted:
        return None
    query = orm.QueryBuilder().append(orm.SinglefileData, filters={'attributes': {'has_key': 'sha256'}})
    for node in query.all(flat=True):
        if any(is_of(name, str(node.base.attributes.get('sha256'))) for name in wanted):
            risk: orm.SinglefileData = node
            return risk
    raise PcmError(
        f'The box has a side in the learned score {wanted[0]}, and its frozen model is not here.',
        'Import the archive of the audit: the risk model is an output of it.',
    )
