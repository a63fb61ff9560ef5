"""aiida-pcm: where a machine-learned potential can be trusted, with evidence."""

__version__ = '0.1.0'
