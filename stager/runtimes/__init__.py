"""Which Python, Node, npm, bun and nginx an app gets: decided from what it asks for, its stack and the indexes.

Every request must be satisfied, and the files must run on the stack: nothing is substituted silently. What
`stager.lock` holds already is kept while it satisfies the app, so that no deploy changes a runtime by itself.
"""

from ..ecosystems.deb_index import DebianMirrors, Web
from .chosen import Asked, Chosen
from .nginx import choose_nginx
from .node import choose_bun, choose_node, choose_npm
from .python import choose_python
from .standalone import pbs_url

__all__ = [
    "Asked",
    "Chosen",
    "DebianMirrors",
    "Web",
    "choose_bun",
    "choose_nginx",
    "choose_node",
    "choose_npm",
    "choose_python",
    "pbs_url",
]
