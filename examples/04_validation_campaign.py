"""Ask Quantum ESPRESSO: `verdi run examples/04_validation_campaign.py [DATASET]`, after `make audit`.

CHGNet on off-equilibrium structures with forces: its 20 worst counterexamples and 20 controls from inside the envelope,
at most three of a chemical system each, go to pw.x with pseudopotentials that the reference was not made with. DATASET
is what `aiida-pcm dataset list` shows; left out, it is the reference that comes with the package.

The campaign runs in AiiDA's daemon, about an hour on two cores. Run this again to see how far it is; after a failure or
a reboot to go on, with what pw.x has computed taken from the cache; and at the end for the table and campaign.json.
With --here as the last word it runs in this process, which then waits for it.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from aiida import orm
from aiida.engine import submit
from aiida.engine.daemon.client import get_daemon_client

from aiida_pcm.calcfunctions.keep_plain_pbe import keep_plain_pbe
from aiida_pcm.cli.engine import run_get_node
from aiida_pcm.data.model import ModelData
from aiida_pcm.setup.codes import audit_codes
from aiida_pcm.setup.reference import find_dataset
from aiida_pcm.workchains.audit import AuditWorkChain
from aiida_pcm.workchains.selftest import tested

HERE, NAMED = sys.argv[-1] == '--here', [word for word in sys.argv[1:] if word != '--here']
FAMILY = 'PseudoDojo/0.5/PBE/SR/standard'
MAX_ATOMS = 12
TOLERANCE = 0.75  # eV/A, beside 0.15 |F|; chosen on the search part, where forces are of several eV/A
OVERRIDES = {
    'falsify': {'budget_share': 0.5},
    'validate': {
        'n_worst': 20, 'n_controls': 20, 'per_group': 3, 'max_cost': 2.5e7, 'max_concurrent': 4,
        'referee': {'pseudo_family': FAMILY, 'cutoff_factor': 1.0, 'kspacing_factor': 1.5},  # loose beside 0.75 eV/A
    },
}  # fmt: skip


def latest(whole):
    """The last campaign on this data set, or None."""
    query = orm.QueryBuilder().append(orm.Data, filters={'uuid': whole.uuid}, tag='whole')
    kept = {'attributes.process_label': 'keep_plain_pbe'}
    query.append(orm.CalcFunctionNode, with_incoming='whole', filters=kept, tag='kept')
    query.append(orm.Data, with_incoming='kept', tag='dataset')
    audits = {'attributes.process_label': 'AuditWorkChain'}
    query.append(orm.WorkChainNode, with_incoming='dataset', filters=audits, tag='audit')
    return query.order_by({'audit': {'id': 'desc'}}).first(flat=True)


def start(whole):
    """A new campaign, in the daemon."""
    codes = audit_codes()
    model = tested(ModelData.chgnet('0.3.0', codes['model']), codes['model'])
    elements = sorted(orm.load_group(FAMILY).elements)
    dataset = keep_plain_pbe(whole, orm.Int(MAX_ATOMS), orm.List(elements))
    builder = AuditWorkChain.get_builder_from_protocol(
        codes, model, dataset, tolerance=TOLERANCE, failure_rate='30%', overrides=OVERRIDES
    )
    if HERE:
        return run_get_node(builder)[1]
    client = get_daemon_client()
    if not client.is_daemon_running:
        client.start_daemon(1)
    return submit(builder)


def how_far(campaign):
    """What has been done of what is running."""
    runs = [node for node in campaign.called_descendants if node.process_label == 'PcmPwBaseWorkChain']
    states = Counter(
        'done' if node.is_finished_ok else 'failed' if node.is_terminated else 'under way' for node in runs
    )
    told = ', '.join(f'{number} {state}' for state, number in sorted(states.items())) or 'none begun'
    return f'Campaign {campaign.pk} is {campaign.process_state.value}; runs of pw.x: {told}'


def shown(number, form='.3g'):
    """A number, or that it is not known."""
    return 'unknown' if number is None else f'{number:{form}}'


def tell(found):
    """One line a structure, and what the two groups have in common."""
    print(f'{"structure":14} {"role":9} {"error":>8} {"referee":>8} {"F/F":>6} {"noise":>6} {"s":>5}  judgement')
    for row in found['rows']:
        numbers = (row['error'], row['error_against_referee'], row['force_ratio'], row['reference_noise'])
        told = ' '.join(f'{shown(number):>{width}}' for number, width in zip(numbers, (8, 8, 6, 6), strict=True))
        said = row['judgement'] if row['converged'] else row['cause']
        print(f'{row["id"]:14} {row["role"]:9} {told} {shown(row["seconds"], ".0f"):>5}  {said}')
    for role, of in found['by_role'].items():
        low, high = of['force_ratio_interval']
        print(
            f'{role}: {of["converged"]} of {of["submitted"]} converged; median of |F_DFT| / |F_model| '
            f'{shown(of["median_force_ratio"])} [{shown(low)}, {shown(high)}], {of["force_ratios_used"]} structures; '
            + ', '.join(f'{number} {judgement}' for judgement, number in of['judgements'].items())
        )
    print(f'passed over because they cost more than {found["max_cost"]:g}: {", ".join(found["too_dear"]) or "none"}')


whole = find_dataset(NAMED[0] if NAMED else 'reference')
campaign = latest(whole)
if campaign is None or (campaign.is_terminated and not campaign.is_finished_ok):
    campaign = start(whole)
if not campaign.is_terminated:
    print(how_far(campaign))
else:
    validation = campaign.outputs.validation.get_dict()
    tell(validation)
    certificate = campaign.outputs.certificate
    print(f'Certificate {certificate.uuid}: {certificate.document["verdict"]}')
    about = {'campaign': campaign.uuid, 'dataset': whole.label or whole.uuid, 'certificate': certificate.uuid}
    Path('campaign.json').write_text(json.dumps({**about, **validation}, indent=1) + '\n')
