"""Everything that set-up makes, in the order in which it is made."""

from __future__ import annotations

from collections.abc import Iterator

from aiida_pcm.setup import codes, pseudos, reference
from aiida_pcm.setup import profile as profiles
from aiida_pcm.setup.steps import Step, Told, nobody


def set_up(
    profile: str | None = None,
    computer: str | None = None,
    python: str | None = None,
    pw: str | None = None,
    told: Told = nobody,
) -> Iterator[Step]:
    """Make what is missing, one step after the other; a second run finds everything and changes nothing.

    The computer comes before the reference, because an archive brings a computer of the same label; the reference comes
    before the pseudopotentials, because the family is made of the nodes that the reference brought.

    :param profile: name of the profile; ``pcm`` where none is named.
    :param computer: label of a computer that is there and gets the codes; this machine, which is made, by default.
    :param python: a Python on that computer, see `codes.specs_on`; ``pw`` likewise.
    :param told: is told what is being made.
    :raises PcmError: where something that the main job needs cannot be made.
    """
    yield profiles.get_or_create_profile(profile or profiles.PROFILE)
    if computer is None:
        yield profiles.get_or_create_computer()
    for spec in codes.specs() if computer is None else codes.specs_on(computer, python, pw):
        yield codes.get_or_create_code(spec)
    told('reference', 0, None)
    yield reference.get_or_import()
    yield from pseudos.get_or_create_families(told)
