"""The errors this tool raises on purpose."""

from __future__ import annotations


class ChannelError(Exception):
    """Say in one sentence why a channel could not be built or served."""
