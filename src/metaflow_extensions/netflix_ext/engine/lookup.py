"""The environment that a name means: an alias, an id or the beginning of one, a step or a task of a past run.

Imports on Python 3.7 (step side).
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable
from dataclasses import dataclass

from .alias import DEFAULT_TAG, Alias, IdName, Pathspec, id_name, names_step
from .catalog import Catalog
from .errors import AliasError, InputError, UnknownError
from .identity import EnvID
from .resolved import ResolvedEnvironment

_SHOWN = 6


@dataclass(frozen=True)
class Lookup:
    """Where names are looked up; ``task_env_id`` gives the id that a step or task of a past run has recorded.

    ``packaged`` finds the environment of a step or task in its code package, for one that no store has.
    ``task_env_id`` raises UnknownError where there is no such task, or where it ran in no environment of ours.
    """

    catalog: Catalog
    task_env_id: Callable[[Pathspec], EnvID]
    packaged: Callable[[Pathspec, EnvID], ResolvedEnvironment | None] = lambda *_: None

    def find(self, text: str, arch: str) -> ResolvedEnvironment:
        """Return the environment that *text* means on *arch*; raise UnknownError where there is none, or several.

        *text* is an alias, ``req_id:full_id``, the beginning of an id, or as ``step:...`` a step or a task, whose
        platform is its own.
        """
        if names_step(text):
            return self._ran(Pathspec.parse(text), arch)
        ids = id_name(text)
        if ids is not None and ids.whole:
            return self._kept(EnvID(ids.first, ids.full_id, arch), text)
        found = self._aliased(text, arch, ids)
        if found is not None:
            return found
        if ids is not None:
            return self._abbreviated(ids, arch)
        raise self._unknown(text)

    def arches(self, text: str) -> tuple[str, ...]:
        """Return the platforms for which *text*, no pathspec, names an environment, or several."""
        with contextlib.suppress(AliasError):
            found = self.catalog.arches(Alias.parse(text))
            if found:
                return found
        ids = id_name(text)
        if ids is None:
            return ()
        return tuple(sorted({item.arch for item in self.catalog.ids() if ids.matches(item.req_id, item.full_id)}))

    def _ran(self, pathspec: Pathspec, arch: str) -> ResolvedEnvironment:
        try:
            env_id = self.task_env_id(pathspec)
        except UnknownError:
            before = self.catalog.history.ran(pathspec, arch)
            if before is None:
                raise
            env_id = before
        return self.catalog.find(env_id) or self.packaged(pathspec, env_id) or self._kept(env_id, str(pathspec))

    def _aliased(self, text: str, arch: str, ids: IdName | None) -> ResolvedEnvironment | None:
        try:
            alias = Alias.parse(text)
        except InputError:
            if ids is not None:
                return None
            raise
        pointer = self.catalog.alias(alias, arch)
        if pointer is not None:
            return self._kept(pointer.env_id, text)
        others = self.catalog.arches(alias)
        if others:
            raise UnknownError(
                f"'{alias}' is an environment for {', '.join(others)}, and there is none for {arch}",
                f"resolve it: metaflow environment resolve --from {alias} --arch {arch} --alias {alias}",
            )
        return None

    def _kept(self, env_id: EnvID, text: str) -> ResolvedEnvironment:
        found = self.catalog.find(env_id)
        if found is not None:
            return found
        elsewhere = sorted(item.arch for item in self.catalog.ids() if item[:2] == env_id[:2])
        known = f"; it is there for {', '.join(elsewhere)}" if elsewhere else ""
        raise UnknownError(
            f"'{text}' is the environment {':'.join(env_id)}, and no store that was asked has it{known}",
            self._with_fault(
                "name the store it was kept in by --datastore and --conda-root, or by METAFLOW_CONDA_*ROOT"
            ),
        )

    def _abbreviated(self, ids: IdName, arch: str) -> ResolvedEnvironment:
        every = sorted(item for item in self.catalog.ids(arch) if ids.matches(item.req_id, item.full_id))
        if len(every) > 1 and not ids.full_id and all(item.req_id == every[0].req_id for item in every):
            default = self.catalog.default(every[0].req_id, arch)
            if default is not None and default.env_id in every and default.env_id.req_id.startswith(ids.first):
                return default
        if len(every) > 1:
            shown = [f"  {':'.join(item[:2])}" for item in every[:_SHOWN]]
            more = [f"  and {len(every) - _SHOWN} more"] if len(every) > _SHOWN else []
            raise UnknownError(
                "\n".join([f"'{ids}' begins the ids of {len(every)} environments for {arch}:", *shown, *more]),
                "write more of the id, or req_id:full_id with both abbreviated",
            )
        if not every:
            raise self._unknown(str(ids))
        return self._kept(every[0], str(ids))

    def _unknown(self, text: str) -> UnknownError:
        names = sorted({str(alias) for alias, _ in self.catalog.aliases()})
        similar = difflib.get_close_matches(text if ":" in text else f"{text}:{DEFAULT_TAG}", names, n=3)
        hint = (
            f"is one of these meant? {', '.join(similar)}"
            if similar
            else "'metaflow environment list' shows what is known; 'metaflow environment alias' names one"
        )
        if text.count("/") in (2, 3) and ":" not in text:
            hint += "; for the environment of a step, add --pathspec"
        return UnknownError(f"no environment is called '{text}'", self._with_fault(hint))

    def _with_fault(self, hint: str) -> str:
        """Return *hint*, with what could not be asked."""
        fault = self.catalog.history.fault
        return f"{hint}. Environments of 1.x were not looked at: {fault.message}; {fault.hint}" if fault else hint
