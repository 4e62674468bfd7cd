"""The hidden decorator on every step: it swaps the interpreter of local tasks and records what they ran in."""

from __future__ import annotations

import json
import os
from typing import Any

from metaflow.decorators import StepDecorator
from metaflow.metadata_provider import MetaDatum

from ...host import choice, compat, home
from ...host.containers import remote
from ...host.flow import ENV_VARIABLE, LOCAL_COMMANDS


class CondaEnvInternalDecorator(StepDecorator):
    """Runs the step in its environment. Attached by the environment, not by users."""

    name = "conda_env_internal"

    def step_init(
        self, flow: Any, graph: Any, step_name: Any, decorators: Any, environment: Any, flow_datastore: Any, logger: Any
    ) -> None:
        """Remember where we are."""
        self._step = step_name
        self._environment = environment

    def runtime_init(self, flow: Any, graph: Any, package: Any, run_id: Any) -> None:
        """Begin to create prefixes, while Metaflow goes on."""
        self._package = package
        self._environment.begin(self._step)

    def runtime_step_cli(self, cli_args: Any, retry_count: Any, max_user_code_retries: Any, ubf_context: Any) -> None:
        """Start the task with the prefix's Python; tell every task its environment, or that it has none."""
        local = cli_args.commands[0] in LOCAL_COMMANDS
        with compat.user_errors():
            env_id = self._env_id(cli_args, local)
            cli_args.env[ENV_VARIABLE] = json.dumps(env_id) if env_id else ""
            asked = getattr(self._environment, "steps", {}).get(self._step)
            cli_args.env.update(remote.told(None if local else asked))
            if not env_id or not local:
                return
            prefix = self._environment.service.prefix(tuple(env_id))
            variables, code = home.variables(prefix, self._package)
            self._environment.service.compile(code, prefix)
        cli_args.entrypoint[0] = prefix["python"]
        cli_args.env.update(variables)

    def task_pre_step(
        self,
        step_name: Any,
        task_datastore: Any,
        metadata: Any,
        run_id: Any,
        task_id: Any,
        flow: Any,
        graph: Any,
        retry_count: Any,
        max_retries: Any,
        ubf_context: Any,
        inputs: Any,
    ) -> None:
        """Record the id of the environment, as the launcher told it."""
        value = os.environ.get(ENV_VARIABLE, "")
        tags = [f"attempt_id:{retry_count}"]
        datum = MetaDatum(field="conda_env_id", value=value, type="conda_env_id", tags=tags)
        metadata.register_metadata(run_id, step_name, task_id, [datum])

    def _env_id(self, cli_args: Any, local: bool) -> Any:
        """Return the id of the task's environment, chosen now where that is asked for; None without one.

        All tasks of a step share this object, and so nothing of a task is kept here.
        """
        asked = getattr(self._environment, "steps", {}).get(self._step) or {"id": None}
        if local and asked.get("fetch"):
            return self._environment.service.fetch(choice.question(asked["fetch"], cli_args))
        return asked["id"]
