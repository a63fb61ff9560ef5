"""Where potentials fail together: `verdi run examples/03_three_potentials.py MODEL MODEL MODEL`, after `make audit`.

MODEL is what `aiida-pcm model list` shows, for example chgnet-0.3.0; docs/how-to/own-potential.md says how others are
added. Only the search part of the reference is looked at: the other part stays fresh for certificates.
"""

import sys
from pathlib import Path

from aiida_pcm.cli.engine import run_get_node
from aiida_pcm.graph import selftests
from aiida_pcm.report import comparison as page
from aiida_pcm.setup.models import code_of, find_or_make_model
from aiida_pcm.setup.reference import find_dataset
from aiida_pcm.workchains.compare import CompareWorkChain, search_part
from aiida_pcm.workchains.selftest import tested

# Who is asked: each potential in the Python that has its package.
found = [find_or_make_model(name) for name in sys.argv[1:]]
models = {model.label: model for model in found}
codes = {label: code_of(model) for label, model in models.items()}
for label, model in models.items():
    selftests.require(tested(model, codes[label]), selftests.latest(model))

# About what: forces on materials in which plain PBE and the Materials Project's theory mean the same.
search = search_part(find_dataset('reference'), 'force')
builder = CompareWorkChain.get_builder_from_protocol(codes, models, search, property='force', tolerance=0.15)
results, comparison = run_get_node(builder)

shown = results['comparison'].get_dict()
missed = shown['missed']
for kind in ('all', 'none', 'exactly_one'):
    print(f'missed by {kind.replace("_", " ")}: {missed[kind]["count"]} of {missed["rows"]} materials')
columns, pairs = page.pairs_side_by_side(shown)
for names, figures in pairs:
    print(' and '.join(names))
    for column, figure in zip(columns, figures, strict=True):
        print(f'  {column}: {page.with_interval(figure)}')
page.write({**shown, 'part': 'search', 'uuid': results['comparison'].uuid}, Path('comparison.html'))
print(f'Comparison {results["comparison"].uuid}, page comparison.html')
