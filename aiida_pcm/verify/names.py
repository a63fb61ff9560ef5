"""Names that look like others: an A of another alphabet, a blank at the end."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from aiida_pcm.verify.report import Check

# Letters of other alphabets that look like the one below them (a part of Unicode's TR 39; what matters in formulas).
_FOREIGN = 'АВЕКМНОРСТУХІЈЅабеорсухіјѕһԁԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧανορτυχɑɡ'
_LATIN = 'ABEKMHOPCTYXIJSabeopcyxijshdqwABEZHIKMNOPTYXavoptuxag'
_LOOK = str.maketrans(dict(zip(_FOREIGN, _LATIN, strict=True)))


def check_names(document: Mapping[str, Any]) -> Check:
    """No text of the claim, and no id or group, poses as another."""
    for place, text in _texts(document):
        fault = _fault(text)
        if fault:
            return Check('names', False, f'{place} {ascii(text)[:80]} {fault}')
    return Check('names', True, 'no look-alikes')


def _texts(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for row in document['rows']:
        yield 'id', row['id']
        yield 'group', row['group']
    yield from _inner('claim', document['claim'])


def _inner(place: str, thing: Any) -> Iterator[tuple[str, str]]:
    if isinstance(thing, str):
        yield place, thing
    elif isinstance(thing, dict):
        for name, value in thing.items():
            yield f'{place}.{name}', name
            yield from _inner(f'{place}.{name}', value)
    elif isinstance(thing, list):
        for value in thing:
            yield from _inner(place, value)


def _fault(text: str) -> str:
    if text != text.strip():
        return 'begins or ends with a blank'
    if text.isascii():
        return ''
    if unicodedata.normalize('NFKC', text) != text:
        return 'is written with letters that stand for others'
    if any(unicodedata.category(letter) in ('Mn', 'Me', 'Cf') for letter in text):
        return 'has marks that cannot be seen'
    scripts = {unicodedata.name(letter, '?').split()[0] for letter in text if letter.isalpha()}
    if len(scripts) > 1:
        return f'mixes the letters of {" and ".join(sorted(scripts))}'
    return 'looks like another text' if text.translate(_LOOK).isascii() else ''
