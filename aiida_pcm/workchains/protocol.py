"""Protocols of the work chains: YAML beside this file, overrides last, unknown keys an error."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import yaml

from aiida_pcm.science.conventions import PcmError


def load(name: str, protocol: str | None = None, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The inputs of a protocol of ``protocols/<name>.yaml``.

    The file has ``default_protocol``, ``default_inputs`` and ``protocols``, as in aiida-quantumespresso. A protocol or
    override may only change keys that default_inputs has; below a key whose default is an empty mapping anything goes.

    :param protocol: name of the protocol, or None for the file's default.
    :raises PcmError: for a protocol or a key that is not there, or a value where a mapping belongs.
    """
    content = yaml.safe_load(resources.files(__package__).joinpath('protocols', f'{name}.yaml').read_text())
    protocol = protocol or content['default_protocol']
    if protocol not in content['protocols']:
        raise PcmError(
            f'{name} has no protocol {protocol!r}.', f'Use one of {", ".join(sorted(content["protocols"]))}.'
        )
    changes = {key: value for key, value in content['protocols'][protocol].items() if key != 'description'}
    return _merge(_merge(content['default_inputs'], changes), overrides or {})


def _merge(defaults: Mapping[str, Any], changes: Mapping[str, Any], path: str = '') -> dict[str, Any]:
    merged = dict(defaults)
    for key, value in changes.items():
        if defaults and key not in defaults or not defaults and not path:
            known = ', '.join(sorted(map(str, defaults)))
            raise PcmError(f'Unknown key {path}{key} in a protocol or override.', f'Use one of {known}.')
        if isinstance(merged.get(key), Mapping):
            if not isinstance(value, Mapping):
                raise PcmError(
                    f'{path}{key} is {value!r}, not a mapping.', f'Give the keys below {path}{key} to change.'
                )
            merged[key] = _merge(merged[key], value, f'{path}{key}.')
        else:
            merged[key] = value
    return merged
