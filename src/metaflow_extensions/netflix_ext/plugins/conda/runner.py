"""``Runner(...).environment()``: the environments of a flow's steps, from Python."""

from __future__ import annotations

from typing import Any


class EnvironmentCommands:
    """Resolves and shows the environments of a flow's steps; each call is one command of the flow."""

    name = "environment"

    def __init__(self, runner: Any) -> None:
        """Resolve and show the environments of the flow's steps: call `resolve` or `show` of what comes back."""
        self._runner = runner

    def resolve(
        self,
        *steps: str,
        arch: Any = None,
        alias: Any = None,
        force: bool = False,
        dry_run: bool = False,
        timeout: float = 1200,
    ) -> Any:
        """
        Resolve what the steps ask for, all steps if none is named, and keep it.

        Parameters
        ----------
        steps : str
            Names of steps.
        arch : str or List[str], optional, default None
            Platforms, in place of the steps' own.
        alias : str or List[str], optional, default None
            Names for the environment, which must be one on each platform.
        force : bool, default False
            Resolve even what is known.
        dry_run : bool, default False
            Keep nothing.
        timeout : float, default 1200
            Seconds to wait.

        Returns
        -------
        Dict[str, Dict[str, StepEnvironment]]
            By step and by platform: `host.commands.flow_api.StepEnvironment`.
        """
        from ...host.commands import flow_api

        words = flow_api.options(arch=arch, alias=alias, force=force, dry_run=dry_run)
        return flow_api.call(self._runner, ["resolve", *words, *steps], timeout=timeout)

    def show(self, *steps: str, arch: Any = None, local_only: bool = False, timeout: float = 60) -> Any:
        """
        Tell how the steps, all if none is named, stand with their environments; nothing is resolved.

        Parameters
        ----------
        steps : str
            Names of steps.
        arch : str or List[str], optional, default None
            Platforms, in place of the steps' own.
        local_only : bool, default False
            Leave the shared store alone.
        timeout : float, default 60
            Seconds to wait.

        Returns
        -------
        Dict[str, Dict[str, StepEnvironment]]
            By step and by platform: `host.commands.flow_api.StepEnvironment`.
        """
        from ...host.commands import flow_api

        words = flow_api.options(arch=arch, local_only=local_only)
        return flow_api.call(self._runner, ["show", *words, *steps], timeout=timeout)
