from aiida import orm
from aiida.engine import run_get_node
from aiida_pcm.data.dataset import DatasetData
from aiida_pcm.data.model import ModelData
from aiida_pcm.workchains.evaluate.base import EvaluateBaseWorkChain
from aiida_pcm.calculations.evaluate import EvaluateCalculation
def test_it(python_code, tiny_materials, aiida_localhost):
    aiida_localhost.set_minimum_job_poll_interval(0)
    import time
    m=ModelData.chgnet(code=python_code); print(m.base.attributes.all)
    d=DatasetData(materials=tiny_materials)
    b=EvaluateBaseWorkChain.get_builder_from_protocol(python_code,m,d,overrides={'slice_size':2})
    t=time.time(); r,n=run_get_node(b); print(time.time()-t)
    from aiida.cmdline.utils.common import get_workchain_report, get_calcjob_report
    print(get_workchain_report(n,'REPORT'))
    for c in n.called_descendants: print(c.process_label, c.exit_status, c.exit_message)
    print(n.exit_status, n.exit_message)
    print(r['report'].get_dict(), r['evaluation'].get_array('energy'))
    c=[c for c in n.called_descendants if c.process_label=='EvaluateCalculation'][0]
    print(c.base.repository.list_object_names(), c.outputs.retrieved.base.repository.list_object_names())
    assert 0
