"""The HTML report: one self-contained page about what a droplet holds, and, given two, what changed between them.

`model` turns contents into plain values, `treemap` lays sizes out, `page` renders the template. The page works without a
network and without JavaScript, and its bytes are a function of the droplets' bytes and stager's version alone.
"""

from .page import render_page

__all__ = ["render_page"]
