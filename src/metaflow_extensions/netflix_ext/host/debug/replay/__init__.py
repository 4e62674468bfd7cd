"""A past task, opened again: what its step had as ``self``, ``inputs`` and ``current``, of Metaflow's own classes.

`reopening` puts a copy of this folder, as ``metaflow_debug``, beside the notebook: the Metaflow that a run has recorded
need not have it. It imports the standard library and Metaflow alone, and runs on Python 3.7 (step side).
"""

from .described import StepReturned, names_of_flow, recorded_traceback, use
from .opened import open_task
from .stores import ArtifactError, loads

__all__ = ["ArtifactError", "StepReturned", "loads", "names_of_flow", "open_task", "recorded_traceback", "use"]
