"""Real storage servers on loopback: S3, Azure Blob Storage, Google Storage."""

from __future__ import annotations

from .program import AbsentError, Running, StoreServer
from .relay import Relay

__all__ = ["AbsentError", "Relay", "Running", "StoreServer"]
