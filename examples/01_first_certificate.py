"""Audit the forces of CHGNet on the reference that comes with the package; run with `verdi run`, after `make audit`."""

from aiida_pcm.cli.engine import run_get_node
from aiida_pcm.data.model import ModelData
from aiida_pcm.setup.codes import audit_codes
from aiida_pcm.setup.reference import find_dataset
from aiida_pcm.workchains.audit import AuditWorkChain
from aiida_pcm.workchains.selftest import tested

# Who is asked: a Python beside the potential, pw.x, and a Python beside Lean.
codes = audit_codes()

# About what: a potential is what its weights' hash says; the reference knows how each of its numbers was computed.
model = tested(ModelData.chgnet('0.3.0', codes['model']), codes['model'])
reference = find_dataset('reference')

# The claim: inside a box yet to be found, at most one material in five has a force that is wrong by more than
# 0.15 eV/A + 0.15 |F|. A third of the reference finds the box; the rest, never seen by then, decides.
builder = AuditWorkChain.get_builder_from_protocol(
    codes, model, reference, property='force', tolerance=0.15, failure_rate='1/5'
)
results, audit = run_get_node(builder)

certificate = results['certificate']
document = certificate.document
counts, bound = document['counts'], document['bound']
for side in results['envelope']['box']:
    print(f'{side["lo"]:.4g} <= {side["feature"]} <= {side["hi"]:.4g}')
print(f'{counts["failed"]} of {counts["inside"]} fresh materials inside the box failed')
print(f'{document["verdict"]}: the failure rate is at most {bound["num"]} in {bound["den"]}')
print(f'Certificate {certificate.uuid}, from audit {audit.pk}')
