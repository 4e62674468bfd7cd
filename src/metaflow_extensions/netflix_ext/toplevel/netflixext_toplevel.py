"""Our name and version, which Metaflow adds to its own.

In a task the distribution is not installed, and on Python 3.7 there is nothing to ask it with: Metaflow then reads the
version from the code package.
"""

from __future__ import annotations

__mf_extensions__ = "netflix-ext"
__version__: str | None = None
try:
    from importlib import metadata

    __version__ = metadata.version("metaflow-netflixext")
except ImportError:  # PackageNotFoundError is one
    pass
