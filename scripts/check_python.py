"""Says in two lines what is wrong with this Python, if anything; runs on old ones too."""

import sys


def complaint():
    """What is wrong, and what to do; None where nothing is."""
    name = 'python%d.%d' % sys.version_info[:2]  # noqa: UP031  must run on old Pythons
    if sys.version_info < (3, 11):  # noqa: UP036  this is where it is found out
        return (
            name + ' is too old: aiida-pcm needs Python 3.11 or newer.',
            'Install one and name it: make PYTHON=python3.11 audit',
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return (
            name + ' cannot make a virtual environment: its venv module is missing.',
            'Install it (Debian: apt-get install ' + name + '-venv) and try again.',
        )
    return None


problem = complaint()
if problem:
    sys.exit('\n'.join(problem))
