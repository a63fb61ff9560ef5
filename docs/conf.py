"""How the pages become a site: `make docs`, or `sphinx-build -W -n --keep-going docs build/docs`.

Nothing is fetched, neither by building nor by reading. AiiDA is imported for the tables of work chains and gets an
empty folder, so that no profile is looked at and none is made.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
os.environ['AIIDA_PATH'] = tempfile.mkdtemp(prefix='aiida-pcm-docs-')
atexit.register(shutil.rmtree, os.environ['AIIDA_PATH'], ignore_errors=True)
warnings.filterwarnings('ignore', message='Creating AiiDA configuration folder')

from aiida_pcm import __version__  # noqa: E402  after AIIDA_PATH

project = 'aiida-pcm'
author = 'The aiida-pcm developers'
project_copyright = author
version = release = __version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.viewcode', 'sphinx_click', 'pages']
exclude_patterns = ['_build']
myst_heading_anchors = 4  # of sections, the same names as on a code-hosting site
suppress_warnings = ['myst.header']  # sections that a directive made may stand one level deeper

html_theme = 'furo'
html_title = f'aiida-pcm {version}'
html_static_path = ['static']
html_css_files = ['tables.css']
html_copy_source = False

default_role = 'code'  # `name` in a docstring
autodoc_default_options = {
    'members': True,
    'member-order': 'bysource',
    'exclude-members': 'Statistic',  # an alias, which would be told by the words of collections.abc
}
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented'
autodoc_class_signature = 'separated'
python_use_unqualified_type_names = True

# Names of other packages; `-n` finds every other name that leads nowhere.
nitpick_ignore_regex = [
    ('py:.*', rf'{name}(\..*)?')
    for name in (
        'aiida', 'aiida_quantumespresso', 'plumpy', 'ase', 'pymatgen', 'numpy', 'fractions', 'collections', 'pathlib',
    )
]  # fmt: skip
