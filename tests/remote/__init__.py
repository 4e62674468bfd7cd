"""Remote tasks run for real and unchanged, each in a clean Linux root of its own, without a cluster."""

from __future__ import annotations

from .container import Container, Ended, Line, run
from .network import Network, isolated, ports_of
from .roots import Root, root

__all__ = ["Container", "Ended", "Line", "Network", "Root", "isolated", "ports_of", "root", "run"]
