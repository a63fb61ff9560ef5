"""A small study in the graph, its archive, and ways to write an archive again with something changed."""

from __future__ import annotations

import json
import re
import sqlite3
import zipfile
from pathlib import Path

from aiida import orm
from aiida.engine import run_get_node

from aiida_pcm.calculations.evaluate import EvaluateCalculation
from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.data.dataset import DatasetData

from .alloys import alloys, certified, emt
from .stored import function


def study(workdir) -> CertificateData:
    """EMT on 21 alloys, really evaluated; a certificate that follows from it; a failure found and a draw against it."""
    code, model = emt(workdir)
    dataset = DatasetData(materials=alloys(3, 'study')).store()
    results, node = run_get_node(EvaluateCalculation, code=code, model=model, dataset=dataset)
    assert node.is_finished_ok, node.exit_message
    made = CertificateData(certified(model, n_atoms=(1.0, 4.0)).document)
    function('draft', {'evaluation': results['evaluation']}, {'certificate': made})
    row = {'failure': True, 'id': 'AuCu', 'group': 'AuCu', 'error': 1.0, 'judgement': 'confirmed'}
    function('find_refutation', {'certificate': made}, {'result': orm.Dict({'rows': [row], 'convention': 'PBE'})})
    draw = {'seed': 'noon', 'list': 'study', 'frame': 'LISTED', 'number': 1, 'enough': 20, 'n': 5, 'list_sha256': 'e'}
    function('register_draw', {'certificate': made}, {'draw': orm.Dict(draw)})
    # Emptying the profile of the tests leaves its settings, and trust is one.
    model.backend.set_global_variable(model._trust_key(), 0)
    return made


class Rewritten:
    """The files and the database of an archive, to be changed and written."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as bundle:
            self.files = {name: bundle.read(name) for name in bundle.namelist()}

    def sql(self, statement: str, *values) -> Rewritten:
        connection = sqlite3.connect(':memory:')
        connection.deserialize(self.files['db.sqlite3'])
        assert connection.execute(statement, values).rowcount != 0, statement
        connection.commit()
        self.files['db.sqlite3'] = connection.serialize()
        return self

    def write(self, path: Path) -> Path:
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as bundle:
            for name, content in self.files.items():
                bundle.writestr(name, content)
        return path

    def older(self) -> Rewritten:
        """In the first schema of AiiDA 2, main_0000: columns could be null, and here some are."""
        old, new = sqlite3.connect(':memory:'), sqlite3.connect(':memory:')
        old.deserialize(self.files['db.sqlite3'])
        for name, sql in old.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall():
            new.execute(re.sub(' NOT NULL', '', sql))
            rows = old.execute(f'SELECT * FROM {name}').fetchall()
            if rows:
                new.executemany(f'INSERT INTO {name} VALUES ({", ".join("?" * len(rows[0]))})', rows)
        new.execute("UPDATE db_dbnode SET label = NULL, description = NULL WHERE label = ''")
        new.commit()
        self.files['db.sqlite3'] = new.serialize()
        metadata = json.loads(self.files['metadata.json']) | {'export_version': 'main_0000'}
        self.files['metadata.json'] = json.dumps(metadata).encode()
        return self
