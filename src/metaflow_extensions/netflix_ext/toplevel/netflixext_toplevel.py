"""Our name and version, which Metaflow adds to its own, and a refusal to run mixed with 1.3.

In a task the distribution is not installed, and on Python 3.7 there is nothing to ask it with: Metaflow then reads the
version from the code package.
"""

from __future__ import annotations

import sys

__mf_extensions__ = "netflix-ext"
__version__: str | None = None
try:
    from importlib import metadata

    __version__ = metadata.version("metaflow-netflixext")
except ImportError:  # PackageNotFoundError is one
    pass

# Metaflow refuses two extensions whose modules have the same names, as 1.2 and 2 have. Those of 1.3 lie elsewhere, and
# would take the place of some of ours. Only here all that Metaflow loads is loaded.
_of_1_3 = sys.modules.get("metaflow_extensions.netflixext")
if _of_1_3 is not None:
    raise RuntimeError(
        f"metaflow-netflixext 1.3 is beside 2, and Metaflow has loaded both: {', '.join(_of_1_3.__path__)}. "
        "Uninstall it where that is, or take that place off PYTHONPATH; then install 2 again"
    )
