"""What to do about a failure, by the name of its cause."""

from __future__ import annotations

from collections.abc import Mapping

# By the names of science.pw_failures.
OF_PW: Mapping[str, str] = {
    'scf not converged': 'Look at the structure and its spin first; then try more steps or more smearing.',
    'diagonalisation': 'Look for atoms too near to each other; then another diagonalisation or a smaller mixing_beta.',
    'out of time': 'Give it more time (max_wallclock_seconds) or more processes.',
    'out of memory': 'Give it more memory or more processes, or lower the cost cap of the candidates.',
    'killed': 'Ask the machine who killed it (dmesg, the scheduler); mostly memory: run fewer at a time.',
    'interrupted': 'The machine stopped, or its shell was killed: submit it again.',
    'cancelled': 'Somebody cancelled it on purpose: ask, then submit it again.',
    'pseudopotential': 'Install the pseudopotential family again: aiida-pcm setup; a file of it is damaged.',
    'input': 'Mend the input that is named; a retry with the same input ends in the same way.',
    'disk': 'Make room in the work folder of the computer, then submit it again.',
    'not started': 'Mend the code (executable, libraries, modules in its prepend text): aiida-pcm doctor',
    'crashed': 'Run pw.x on a small cell by hand; it may have been built for another machine.',
    'stopped': 'Read the message of pw.x; it names the routine that stopped.',
    'unexplained': 'Read the whole output: verdi calcjob outputcat',
}

# What the runner calls a failure of one structure (runner.evaluate) -> what to do.
OF_ITEM: Mapping[str, str] = {
    'UnknownElement': 'The model does not know these elements: leave the materials out, or audit a model that does.',
    'NonFiniteOutput': 'The model gave nan or infinity: it fails there, and no rerun changes it. Report it upstream.',
    'NonFiniteCell': 'Mend the lattice vectors in the data set and import it again.',
    'NonFinitePositions': 'Mend the positions in the data set and import it again.',
    'SingularCell': 'Mend the lattice vectors in the data set and import it again.',
    'CoincidentAtoms': 'Two atoms are at one place: mend the structure and import the data set again.',
    'EmptyStructure': 'Leave out the rows that have no atom.',
    'IsolatedAtom': 'No neighbour within the reach of the model: leave the material out, or take another model.',
    'OutOfMemory': 'Give the job more memory, or a smaller batch_atoms, and submit it again: what is done is kept.',
    'ProcessDied': 'The structure kills the process: evaluate it alone, with more memory.',
    'InputEdited': 'The model changes what it is given: report it upstream; its numbers cannot be used.',
    'WrongShape': 'The model answers for another number of atoms: report it upstream.',
}
OF_OTHER_ITEM = 'The model itself raised this: evaluate the structure alone to see where.'

# Exit codes of pcm.evaluate -> (name of the cause, what to do).
OF_EVALUATE: Mapping[str, tuple[str, str]] = {
    'ERROR_MODEL_MISMATCH': ('environment', 'Add the model again, or install the version that it was added with.'),
    'ERROR_INPUT_REFUSED': ('input', 'Mend what is named and submit again.'),
    'ERROR_RUNNER_MISMATCH': ('environment', 'The package was changed meanwhile: verdi daemon restart; submit again.'),
    'ERROR_UNTRUSTED': (
        'untrusted',
        'Say that its code may run, if you trust it: aiida-pcm model add ... --trust-pickle',
    ),
    'ERROR_MISSING_PACKAGE': ('environment', 'Install the package in the Python of the code: aiida-pcm doctor'),
    'ERROR_OUT_OF_MEMORY': ('memory', 'Give the job more memory, or take a smaller slice_size.'),
    'ERROR_INTERRUPTED': (
        'lost job',
        'It is continued from its checkpoints by itself; submit again if it was the last.',
    ),
    'ERROR_OUTPUT_UNREADABLE': ('lost job', 'Its results did not arrive whole: submit again.'),
    'ERROR_NOT_STARTED_PYTHON_MISSING': ('environment', 'Give a code that is a Python with the model: aiida-pcm setup'),
    'ERROR_RUNNER_CRASHED': ('crash', 'Read pcm.err in the retrieved folder; it has the traceback.'),
    'ERROR_PARTIAL': ('memory', 'Give the job more memory; what is done is kept.'),
    'ERROR_NOTHING_EVALUATED': ('no values', 'See which structures failed, and why, below.'),
    'ERROR_SCHEDULER_OUT_OF_MEMORY': ('memory', 'Give the job more memory, or take a smaller slice_size.'),
    'ERROR_SCHEDULER_OUT_OF_WALLTIME': ('out of time', 'Give the job more time (max_wallclock_seconds).'),
    'ERROR_SCHEDULER_NODE_FAILURE': ('lost job', 'A node of the cluster failed: submit again.'),
}
