"""Build and serve a small but real conda channel and package index for tests."""

from __future__ import annotations

from .cache import ensure
from .copies import hard_copy, with_token
from .errors import ChannelError
from .server import Request, Rule, Server, serve

__all__ = ["ChannelError", "Request", "Rule", "Server", "ensure", "hard_copy", "serve", "with_token"]
