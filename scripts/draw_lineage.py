"""Print the provenance of a certificate for Graphviz: verdi run scripts/draw_lineage.py CERTIFICATE | dot -Tsvg"""

import sys

from aiida_pcm.data.certificate import CertificateData
from aiida_pcm.graph.inventory import find_node
from aiida_pcm.graph.lineage import collapsed_dot

if __name__ == '__main__':
    print(collapsed_dot(find_node(sys.argv[1], CertificateData, 'certificate')))
