"""The environments ``conda`` and ``pypi``: what Metaflow asks of them, answered by `host`."""

from __future__ import annotations

from typing import Any

from metaflow.metaflow_environment import MetaflowEnvironment
from metaflow.packaging_sys import ContentType

from ...host import client, compat, flow, launcher
from ...host.containers import remote


class CondaEnvironment(MetaflowEnvironment):
    """Every step runs in an environment of its own, resolved when the code package is made.

    Constructed and validated in every process, of every task: neither does any work.
    """

    TYPE = "conda"

    def __init__(self, flow: Any) -> None:
        self.flow = flow
        # Metaflow starts the mappers of a local @parallel step with base_env.executable().
        self.base_env = MetaflowEnvironment(flow)
        self.datastore_type = ""
        self.steps: dict[str, Any] = {}
        self._service: Any = None

    def validate_environment(self, logger: Any, datastore_type: str) -> None:
        """Remember the datastore, and refuse to work beside another extension that owns our decorators."""
        self.datastore_type = datastore_type
        compat.require_own_plugins()

    def decospecs(self) -> tuple[str, ...]:
        """Attach the decorator that executes the environment to every step."""
        return ("conda_env_internal",)

    @property
    def service(self) -> Any:
        """What resolves and creates: here, or in the launcher's interpreter where this one cannot."""
        if self._service is None:
            self._service = launcher.service()
        return self._service

    def init_environment(self, echo: Any) -> None:
        """Resolve the environments of all steps; a known one costs a look."""
        question = flow.question(self.flow, self.datastore_type, force=bool(getattr(self, "_force_rebuild", False)))
        with compat.user_errors():
            self.steps = self.service.resolve(question, echo)
        flow.forget_secrets(self.flow)

    def begin(self, step_name: str) -> None:
        """Begin to create the prefixes that this run needs, those of the first steps first; *step_name* is one of them.

        Called for every step; ``spin`` needs that one alone.
        """
        wanted = [step_name] if "spin" in compat.command() else list(self.steps)
        for asked in (self.steps.get(name) for name in wanted):
            if asked and asked["local"] and asked["id"]:
                with compat.user_errors():
                    self.service.begin(tuple(asked["id"]))

    def add_to_package(self) -> list[tuple[str, str, ContentType]]:
        """Put the resolved environments of this flow into the code package: one file, the same bytes for the same."""
        away = [step for step in self.steps.values() if remote.is_remote(step)]
        ids, remote_ids = (
            sorted({tuple(one["id"]) for one in steps if one["id"]}) for steps in (self.steps.values(), away)
        )
        with compat.user_errors():
            path = self.service.package_file(ids, remote_ids, sorted({step["arch"] for step in away}))
        return [(path, flow.PACKAGE_FILE, ContentType.OTHER_CONTENT)] if path else []

    def pylint_config(self) -> list[str]:
        """Silence import errors: packages of steps need not be installed where the flow is launched."""
        return [*super().pylint_config(), "--disable=F0401"]

    @classmethod
    def get_client_info(cls, flow_name: str, metadata: dict[str, str]) -> dict[str, Any]:
        """Answer `Task.environment_info`: the environment that the task ran in."""
        return client.environment_info(flow_name, metadata, cls.TYPE)

    def executable(self, step_name: str, default: str | None = None) -> Any:
        """Return the interpreter of a step in a container; of all else that Metaflow runs outside of our prefixes."""
        return remote.PYTHON if self._remote(step_name) else self.base_env.executable(step_name, default)

    def bootstrap_commands(self, step_name: str, datastore_type: str) -> list[str]:
        """Return what a container runs before the step: a list of its own for each call, as Metaflow changes it."""
        asked = self._remote(step_name)
        if asked is None:
            return list(self.base_env.bootstrap_commands(step_name, datastore_type))
        return remote.commands(step_name, datastore_type, asked)

    def _remote(self, step_name: str) -> Any:
        """Return what the service has answered for a step that runs in an environment in a container; else None.

        The process that submits a task of a run has resolved nothing: the launcher has told it.
        """
        asked = self.steps.get(step_name) or remote.heard()
        return asked if remote.is_remote(asked) else None


class PypiEnvironment(CondaEnvironment):
    """The same by the name that Metaflow's own environment for `@pypi` has."""

    TYPE = "pypi"
