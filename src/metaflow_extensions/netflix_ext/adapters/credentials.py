"""What the settings of this machine say of sources, and what opens those; in memory only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property, reduce
from pathlib import Path

from ..engine.errors import SettingError
from ..engine.index_settings import IndexSettings
from ..engine.secret import has_credentials, strip_credentials


class Credentials:
    """The credentials of sources, by their clean URLs.

    Args:
        secrets: those that are known from the beginning.
        own: what our own settings say of indexes.
        environ: the variables of the process; None: neither pip's settings nor uv's count.
    """

    def __init__(self, secrets: Mapping[str, str], own: IndexSettings, environ: Mapping[str, str] | None) -> None:
        self.sources = dict(secrets)
        # With those that conda's and rattler's programs keep.
        self.channels: dict[str, str] = {}
        self._own = own
        self._environ = environ
        self._unlocked = False

    def remember(self, urls: Iterable[str]) -> None:
        """Keep the credentials in *urls* for talking to those sources."""
        self.sources.update({strip_credentials(url): url for url in urls if has_credentials(url)})
        if self._unlocked:
            self.unlock()

    def unlock(self) -> None:
        """Complete the credentials by those that are kept elsewhere, now that we are about to talk to sources.

        Raises ToolError where settings call for the program ``keyring`` and there is none, SettingError where
        RATTLER_AUTH_FILE cannot be read.
        """
        from .channel_stores import stored

        keyring = self.readable_indexes.keyring
        self._unlocked = True
        if keyring:
            from .keyring_program import opened

            self.sources.update(opened(self.sources.values()))
        kept = {clean: secret for clean, secret in stored().items() if clean not in self.sources}
        self.channels.clear()
        self.channels.update({**self.sources, **kept})  # of two for one host the first counts

    @cached_property
    def told(self) -> Mapping[str, IndexSettings]:
        """What each says of indexes, by whose settings they are, the strongest first. Raises SettingError."""
        from .pip_settings import pip_settings
        from .uv_settings import uv_settings

        if self._environ is None:
            return {"ours": self._own}
        theirs = {"uv": uv_settings(self._environ, Path.cwd()), "pip": pip_settings(self._environ)}
        return {"ours": self._own, **theirs}

    @cached_property
    def indexes(self) -> IndexSettings:
        """What all of them say together. Raises SettingError."""
        found = reduce(IndexSettings.over, self.told.values())
        self.remember(found.urls)
        return found

    @property
    def readable_indexes(self) -> IndexSettings:
        """`indexes` for who may not need them: who asks for PyPI packages is told what cannot be read there."""
        try:
            return self.indexes
        except SettingError:
            return IndexSettings()
