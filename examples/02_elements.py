"""Audit volume and bulk modulus of CHGNet on the elements; run with `verdi run`, after `make audit`.

The reference is all-electron PBE, ase.collections.dcdft: Lejaeghere et al., Crit. Rev. Solid State Mater. Sci. 39, 1
(2014). It is a curated set: what is found describes these elements and no wider population.
"""

from aiida_pcm.cli.engine import run_get_node
from aiida_pcm.data.arrays import evaluation_of
from aiida_pcm.data.model import ModelData
from aiida_pcm.graph.closure import ancestors
from aiida_pcm.science.failure import errors
from aiida_pcm.setup.codes import audit_codes
from aiida_pcm.setup.reference import find_dataset
from aiida_pcm.workchains.audit import AuditWorkChain
from aiida_pcm.workchains.selftest import tested

# Who is asked: a Python beside the potential and one beside Lean. Nothing is validated, so pw.x is not needed.
codes = {**audit_codes(), 'pw': None}

# About what: the elements for which the Materials Project's theory and the reference mean the same.
model = tested(ModelData.chgnet('0.3.0', codes['model']), codes['model'])
reference = find_dataset('dcdft')
print(f'{reference.n_rows} elements')
for reason in reference.materials.metadata['left_out'].values():
    print(f'left out: {reason}')

# The claims: inside a box of properties of elements, at most one in five has a volume wrong by more than 3 %, and at
# most one in five a bulk modulus wrong by more than 15 %. Both stand on the same part, so the second has less alpha.
audits = {}
for quantity in ('volume', 'bulk_modulus'):
    builder = AuditWorkChain.get_builder_from_protocol(codes, model, reference, property=quantity, failure_rate='1/5')
    audits[quantity], _ = run_get_node(builder)

# The numbers are in the graph: each part was scanned at seven volumes, and fitted, before its rows were counted.
rows, causes = {}, {}
for node in ancestors(audits['volume']['certificate']):
    if getattr(node, 'process_label', None) == 'fit_volumes':
        materials, evaluation = node.inputs.dataset.materials, evaluation_of(node.outputs.evaluation)
        found = [errors(quantity, materials, evaluation).error for quantity in audits]
        columns = [evaluation.volume, materials.references['volume'], found[0]]
        columns += [evaluation.bulk_modulus, materials.references['bulk_modulus'], found[1]]
        rows |= dict(zip(materials.ids.tolist(), zip(*columns, strict=True), strict=True))
        causes |= {failure['id']: failure['message'] for failure in node.outputs.report['failures']}

print('          volume (A^3 per atom)           bulk modulus (GPa)')
print('      model  reference  error (%)    model  reference  error (%)')
for element in reference.materials.ids:
    print('{:2}  {:7.2f}  {:9.2f}  {:9.1f}  {:7.1f}  {:9.1f}  {:9.1f}'.format(element, *rows[element]))
for element, cause in causes.items():
    print(f'no prediction for {element}: {cause}')

for quantity, column in (('volume', 2), ('bulk_modulus', 5)):
    results = audits[quantity]
    document = results['certificate'].document
    counts, bound, tolerance = document['counts'], document['bound'], document['claim']['tolerance']['value']
    failed = sorted(element for element, row in rows.items() if not row[column] <= tolerance)
    print(f'{quantity} wrong by more than {tolerance:g} %: {len(failed)} of {len(rows)} elements, {" ".join(failed)}')
    for side in results['envelope']['box']:
        print(f'{side["lo"]:.4g} <= {side["feature"]} <= {side["hi"]:.4g}')
    print(f'{counts["failed"]} of {counts["inside"]} fresh elements inside the box failed')
    print(f'{document["verdict"]}: the failure rate is at most {bound["num"]} in {bound["den"]}')
    print(f'Certificate {results["certificate"].uuid}')
