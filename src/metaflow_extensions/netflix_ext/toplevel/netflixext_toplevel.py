"""Our name and version, which Metaflow adds to its own."""

from __future__ import annotations

from importlib import metadata

__mf_extensions__ = "netflix-ext"
__version__: str | None
try:
    __version__ = metadata.version("metaflow-netflixext")
except metadata.PackageNotFoundError:
    __version__ = None
