"""Units, density functionals, +U: what may be compared with what.

Everything in this package is in eV, angstrom and what follows from them (eV/A, eV/A^3). A number is compared with
another only where both mean the same; where they do not, `PcmError` names both sides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

GPA_PER_EV_PER_CUBIC_ANGSTROM = 160.21766208

# Materials Project: +U on these metals where O or F is present (physics.md; Wang et al., 2021, MP2020 input sets).
HUBBARD_METALS = frozenset({'Co', 'Cr', 'Fe', 'Mn', 'Mo', 'Ni', 'V', 'W'})
HUBBARD_ANIONS = frozenset({'O', 'F'})
MAGNETIC_METALS = frozenset({'Cr', 'Mn', 'Fe', 'Co', 'Ni'})
NOBLE_GASES = frozenset({'He', 'Ne', 'Ar', 'Kr', 'Xe', 'Rn'})
LANTHANIDES = frozenset(['Ce', 'Pr', 'Nd', 'Pm', 'Sm', 'Eu', 'Gd', 'Tb', 'Dy', 'Ho', 'Er', 'Tm', 'Yb', 'Lu'])
ACTINIDES = frozenset(['Ac', 'Th', 'Pa', 'U', 'Np', 'Pu', 'Am', 'Cm', 'Bk', 'Cf', 'Es', 'Fm', 'Md', 'No', 'Lr'])

QUANTITIES = ('force', 'stress', 'volume', 'bulk_modulus', 'energy', 'formation_energy')


class PcmError(ValueError):
    """Bad input: what is wrong, in one line, and what to do, in a second."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f'{what}\n{remedy}')
        self.what = what
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[PcmError], tuple[str, str]]:
        return type(self), (self.what, self.remedy)


@dataclass(frozen=True)
class Convention:
    """How numbers were computed; two numbers are comparable only as far as their conventions agree.

    :param functional: name of the exchange-correlation functional, for example ``PBE``.
    :param hubbard: ``none``, or ``MP`` for the Materials Project's +U on d metals with O or F.
    :param corrections: ``none``, or ``MP2020`` where energies carry the Materials Project's corrections.
    :param spin: ``none``, or ``ferromagnetic`` for spin-polarised from a ferromagnetic start.
    :param pseudopotentials: label of the pseudopotential family, ``PAW`` for VASP's, or empty for a model.
    """

    functional: str
    hubbard: str = 'none'
    corrections: str = 'none'
    spin: str = 'none'
    pseudopotentials: str = ''

    def as_dict(self) -> dict[str, str]:
        """The convention as plain data, for an attribute of a node."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, str]) -> Convention:
        """The inverse of :meth:`as_dict`; raises PcmError for unknown or missing fields."""
        known = set(cls.__dataclass_fields__)
        if unknown := sorted(set(fields) - known):
            raise PcmError(f'A convention has no field {", ".join(unknown)}.', f'Use only {", ".join(sorted(known))}.')
        if 'functional' not in fields:
            raise PcmError('A convention without a functional says nothing.', 'State the functional, for example PBE.')
        if wrong := sorted(name for name, value in fields.items() if not isinstance(value, str)):
            raise PcmError(f'The {", ".join(wrong)} of a convention is not a text.', "Write 'none' for nothing.")
        return cls(**fields)

    def __str__(self) -> str:
        parts = [self.functional]
        parts += [f'+U({self.hubbard})'] if self.hubbard != 'none' else []
        parts += [f'corrections {self.corrections}'] if self.corrections != 'none' else []
        parts += [f'spin {self.spin}'] if self.spin != 'none' else []
        parts += [self.pseudopotentials] if self.pseudopotentials else []
        return ' '.join(parts)


MATERIALS_PROJECT = Convention('PBE', hubbard='MP', corrections='MP2020', spin='ferromagnetic')


def why_not_plain_pbe(elements: Iterable[str]) -> str | None:
    """Why plain, spin-unpolarised PBE may not stand for the Materials Project's theory on these elements.

    :return: the reason in a few words, or None where the comparison of forces and stresses is legal.

    Source: design notes, physics.md ('Plain PBE against a Materials-Project-trained model').
    """
    present = frozenset(elements)
    return _why_not_without_hubbard(present) or _why_not_without_spin(present) or _why_not_with_other_cores(present)


def _why_not_without_hubbard(present: frozenset[str]) -> str | None:
    metals, anions = sorted(present & HUBBARD_METALS), sorted(present & HUBBARD_ANIONS)
    return f'{metals[0]} with {anions[0]}: the Materials Project adds +U' if metals and anions else None


def _why_not_without_spin(present: frozenset[str]) -> str | None:
    if magnetic := sorted(present & MAGNETIC_METALS):
        return f'{magnetic[0]} is magnetic: a reference without spin is another state'
    return 'O2 is a magnetic molecule' if present == {'O'} else None


def _why_not_with_other_cores(present: frozenset[str]) -> str | None:
    if frozen := sorted(present & (LANTHANIDES | ACTINIDES)):
        return f'{frozen[0]}: f electrons are treated otherwise in the Materials Project'
    if noble := sorted(present & NOBLE_GASES):
        return f'{noble[0]} is a noble gas'
    return None


def check_comparable(
    quantity: str, model: Convention, reference: Convention, compositions: Iterable[Iterable[str]]
) -> None:
    """Refuse a comparison that means nothing.

    The functionals must agree, and for energies their zero too. Where +U, spin or pseudopotentials differ, the rows
    must do without what differs: +U matters to some d metals with O or F, spin to magnetic metals and O2, another
    family to f elements and noble gases. A model that does not name pseudopotentials was trained on VASP's.

    :param quantity: one of QUANTITIES.
    :param compositions: the elements of each row that would be compared.
    :raises PcmError: names both conventions and, where it depends on the row, the first row that is not legal.

    Source: design notes, physics.md.
    """
    if quantity not in QUANTITIES:
        raise PcmError(f'Unknown quantity {quantity!r}.', f'Use one of {", ".join(QUANTITIES)}.')
    sides = f'the model predicts {model}, the reference is {reference}'
    if model.functional != reference.functional:
        raise PcmError(
            f'The functionals differ: {sides}.', f'Take a reference computed with {model.functional} or another model.'
        )
    if quantity in ('energy', 'formation_energy'):
        _check_same_energy_zero(quantity, model, reference, sides)
    obstacles = [_why_not_without_hubbard] if model.hubbard != reference.hubbard else []
    obstacles += [_why_not_without_spin] if model.spin != reference.spin else []
    same_cores = reference.pseudopotentials in (model.pseudopotentials or 'PAW', model.pseudopotentials)
    obstacles += [] if same_cores else [_why_not_with_other_cores]
    for row, elements in enumerate(compositions if obstacles else ()):
        present = frozenset(elements)
        if reason := next(filter(None, (obstacle(present) for obstacle in obstacles)), None):
            raise PcmError(
                f'Row {row} ({", ".join(sorted(present))}): {reason}; {sides}.',
                'Leave these materials out or take a reference of the same theory.',
            )


def _check_same_energy_zero(quantity: str, model: Convention, reference: Convention, sides: str) -> None:
    fields = ('hubbard', 'corrections') + (('pseudopotentials',) if quantity == 'energy' else ())
    if different := [name for name in fields if getattr(model, name) != getattr(reference, name)]:
        raise PcmError(
            f'Energies of these conventions differ in {", ".join(different)}: {sides}.',
            'Compare forces or stress, or take a reference of the same convention.',
        )
