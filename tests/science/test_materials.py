"""MaterialSet: what goes in comes out, the same content is the same bytes, and nothing is unpickled."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aiida_pcm.science.conventions import PcmError
from aiida_pcm.science.materials import MaterialSet, all_elements, missing_references

METADATA = {'label': 'drawn', 'frame': 'CONVENIENCE', 'pose': 'SINGLE_POINT'}
NAMES = st.text(st.characters(exclude_characters='\0', exclude_categories=['Cs']), min_size=1, max_size=8)


@st.composite
def material_sets(draw) -> MaterialSet:
    """Any data set, with values that are not finite and references that are missing."""
    ids = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    n = len(ids)
    counts = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n))
    atoms = sum(counts)
    numbers = st.floats(allow_nan=True, allow_infinity=True, width=64)

    def column(*shape: int):
        return draw(hnp.arrays(np.float64, shape, elements=numbers))

    with_references = draw(st.booleans())
    return MaterialSet(
        ids=np.array(ids),
        groups=np.array(draw(st.lists(NAMES, min_size=n, max_size=n))),
        offsets=np.cumsum([0, *counts]),
        numbers=draw(hnp.arrays(np.int16, atoms, elements=st.integers(1, 118))),
        positions=column(atoms, 3),
        cells=column(n, 3, 3),
        seen=draw(hnp.arrays(np.int8, n, elements=st.integers(0, 2))),
        references={'energy': column(n), 'forces': column(atoms, 3)} if with_references else {},
        causes=np.array([''] * n) if with_references else None,
        features={'volume': column(n)},
        metadata=METADATA,
    )


def same(one: MaterialSet, other: MaterialSet) -> bool:
    """Every column and the metadata, bit by bit."""
    left, right = one.columns(), other.columns()
    return (
        list(left) == list(right)
        and all(
            left[name].dtype == right[name].dtype and left[name].tobytes() == right[name].tobytes() for name in left
        )
        and one.metadata == other.metadata
    )


@settings(max_examples=60)
@given(material_sets())
def test_round_trip(data):
    content = data.to_bytes()
    read = MaterialSet.from_bytes(content)
    assert same(read, data)
    assert read.to_bytes() == content
    assert read.content_sha256 == data.content_sha256


@settings(max_examples=60)
@given(material_sets(), st.data())
def test_subset_is_what_it_would_be_if_it_had_been_built(data, choice):
    rows = choice.draw(st.lists(st.integers(0, len(data) - 1), min_size=1, unique=True))
    part = data.subset(rows)
    assert part.ids.tolist() == data.ids[rows].tolist()
    for new, old in enumerate(rows):
        assert part.positions[part.atom_slice(new)].tobytes() == data.positions[data.atom_slice(old)].tobytes()
        assert part.cells[new].tobytes() == data.cells[old].tobytes()
    assert part.subset(range(len(rows))).to_bytes() == part.to_bytes()


def crystals(names):
    return MaterialSet.from_atoms([bulk(name) for name in names], names, names, METADATA)


def test_same_content_same_bytes_whatever_the_way_there():
    """A narrower text column or another integer type is no other content."""
    whole = crystals(['Si', 'Al', 'Cu'])
    part = crystals(['Si', 'Al'])
    assert whole.subset([0, 1]).to_bytes() == part.to_bytes()
    wide = MaterialSet(
        part.ids.astype('U40'), part.groups.astype(object), part.offsets.astype('>i4'), part.numbers.astype(np.int64),
        part.positions, part.cells, part.seen.astype(int), metadata=METADATA,
    )  # fmt: skip
    assert wide.to_bytes() == part.to_bytes()


def test_label_is_no_content():
    data = crystals(['Si'])
    assert data.with_metadata(label='other').content_sha256 == data.content_sha256
    assert data.with_metadata(origin='elsewhere').content_sha256 != data.content_sha256


def test_nothing_is_unpickled():
    data = crystals(['Si'])
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data.to_bytes())) as source, zipfile.ZipFile(buffer, 'w') as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
        member = io.BytesIO()
        np.save(member, np.array([{'a': 1}], dtype=object), allow_pickle=True)
        target.writestr('feature.evil.npy', member.getvalue())
    with pytest.raises(PcmError, match='not a data set'):
        MaterialSet.from_bytes(buffer.getvalue())


@pytest.mark.parametrize('content', [b'', b'no zip', b'PK\x03\x04broken'])
def test_other_files_are_refused(content):
    with pytest.raises(PcmError, match='not a data set'):
        MaterialSet.from_bytes(content)


def test_cut_file_is_refused():
    content = crystals(['Si']).to_bytes()
    with pytest.raises(PcmError, match='not a data set'):
        MaterialSet.from_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'ids': np.array(['a', 'a'])}, 'share one id'),
        ({'offsets': np.array([0, 3, 2])}, 'do not divide'),
        ({'numbers': np.array([14, 14, 0])}, 'not that of an element'),
        ({'numbers': np.array([14, 14, 13.5])}, 'not int16'),
        ({'cells': np.zeros((2, 3))}, 'has shape'),
        ({'groups': np.zeros((2, 1))}, 'dimensions'),
        ({'features': {'x': np.array(['a', 'b'])}}, 'not made of float64'),
        ({'metadata': {'frame': 'GENERATED', 'pose': 'lying'}}, "has pose 'lying'"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message):
    data = crystals(['Si', 'Al'])
    plain = ('ids', 'groups', 'offsets', 'numbers', 'positions', 'cells', 'seen', 'metadata')
    columns = {name: getattr(data, name) for name in plain}
    with pytest.raises(PcmError, match=message) as caught:
        MaterialSet(**{**columns, **change})
    assert len(str(caught.value).splitlines()) == 2


def test_a_mask_is_no_list_of_rows():
    with pytest.raises(PcmError, match='mask'):
        crystals(['Si', 'Al']).subset(np.array([True, False]))


def test_counts_for_queries():
    data = crystals(['Si', 'Al'])
    assert all_elements(data) == ['Al', 'Si']
    assert missing_references(data) == 2
    forces = np.zeros((3, 3))
    forces[2] = np.nan
    known = data.with_references({'energy': np.zeros(2), 'forces': forces}, ['', 'not converged'])
    assert missing_references(known) == 1
