"""Compute the reference that ships with the package, in the daemon: submit, follow, resume, export.

Run with `verdi run scripts/make_reference.py [n]`, with the daemon running. A second run finds the first one and
follows it; when all is done, it writes the archive and its description into the folder of the package. AiiDA's daemon
continues what an interruption of any kind has left.
"""

import json
import sys
import time
from pathlib import Path

from aiida import orm
from aiida.engine import submit

import aiida_pcm
from aiida_pcm.graph.closure import export
from aiida_pcm.workchains.reference import ReferenceWorkChain

FOLDER = Path(aiida_pcm.__file__).parent / 'reference'


def find_or_submit(n: int) -> orm.WorkChainNode:
    """The run of n materials that this profile holds, otherwise a new one."""
    query = orm.QueryBuilder().append(orm.Int, filters={'attributes.value': n}, tag='n')
    query.append(ReferenceWorkChain, with_incoming='n', edge_filters={'label': 'n'}).order_by(
        {ReferenceWorkChain: 'id'}
    )
    found = [node for (node,) in query.all() if not node.is_failed and not node.is_excepted and not node.is_killed]
    if found:
        return found[-1]
    code = orm.load_code('pw@reference-machine')
    return submit(ReferenceWorkChain.get_builder_from_protocol(code, overrides={'n': n}))


def follow(node: orm.WorkChainNode) -> None:
    """Print a line whenever something has finished, until all has."""
    said = ''
    while not node.is_terminated:
        runs = [run for run in node.called if isinstance(run, orm.WorkChainNode)]
        done = [run for run in runs if run.is_terminated]
        line = f'{len(done)} of {node.inputs.n.value} done, {sum(not run.is_finished_ok for run in done)} failed'
        if line != said:
            print(line, file=sys.stderr, flush=True)
        said = line
        time.sleep(10)


def main() -> None:
    """Find or submit, follow, export."""
    node = find_or_submit(int(sys.argv[1]) if len(sys.argv) > 1 else 48)
    print(f'{node.process_label} {node.uuid}', file=sys.stderr)
    follow(node)
    dataset = node.outputs.dataset
    export([node], FOLDER / 'reference.aiida', logs=False)
    description = {
        'uuid': dataset.uuid,
        'label': dataset.base.attributes.get('label'),
        'content_sha256': dataset.base.attributes.get('content_sha256'),
    }
    (FOLDER / 'reference.json').write_text(json.dumps(description, indent=1) + '\n')


if __name__ == '__main__':
    main()
