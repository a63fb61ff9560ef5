"""Everything that set-up makes, in the order in which it is made."""

from __future__ import annotations

from collections.abc import Iterator

from aiida_pcm.setup import codes, pseudos, reference
from aiida_pcm.setup import profile as profiles
from aiida_pcm.setup.steps import Step


def set_up(profile: str | None = None) -> Iterator[Step]:
    """Make what is missing, one step after the other; a second run finds everything and changes nothing.

    The computer comes before the reference, because an archive brings a computer of the same label; the reference comes
    before the pseudopotentials, because the family is made of the nodes that the reference brought.

    :param profile: name of the profile; ``pcm`` where none is named.
    :raises PcmError: where something that the main job needs cannot be made.
    """
    yield profiles.get_or_create_profile(profile or profiles.PROFILE)
    yield profiles.get_or_create_computer()
    for spec in codes.specs():
        yield codes.get_or_create_code(spec)
    yield reference.get_or_import()
    yield from pseudos.get_or_create_families()
