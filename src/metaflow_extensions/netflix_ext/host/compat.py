"""The one place that knows Metaflow's private names. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import tempfile
import textwrap
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Iterator, Mapping

from metaflow.exception import MetaflowException
from metaflow.metaflow_environment import InvalidEnvironmentException

from ..engine.errors import ExtensionError, InputError

ENVIRONMENTS = ("conda", "pypi")
DATASTORES = ("s3", "azure", "gs", "local")
_EXECUTING = ("run", "resume", "spin")
_DEPLOYING = ("argo-workflows", "step-functions", "airflow")
_READERS = 16
_OURS = ("conda", "pypi", "conda_base", "pypi_base", "conda_env_internal")
_PACKAGE = "metaflow_extensions.netflix_ext"


class EnvironmentFailed(MetaflowException):
    """An error of ours as Metaflow shows it: a headline, the message, the hint."""

    def __init__(self, error: ExtensionError) -> None:
        self.headline = error.headline
        # Metaflow's echo takes an asterisk for a switch of colour and swallows it.
        super().__init__(str(error).replace("*", "\u2217"))


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
    """Turn errors of the engine into Metaflow's, which are shown without a traceback."""
    try:
        yield
    except ExtensionError as error:
        raise EnvironmentFailed(error) from error


@contextlib.contextmanager
def told_errors() -> Iterator[None]:
    """Tell errors of ours and of Metaflow on standard error, and leave with status 1; debugging shows tracebacks.

    For commands of ``metaflow``, which prints a traceback of whatever reaches it.
    """
    from metaflow._vendor import click

    try:
        yield
    except (click.exceptions.ClickException, click.exceptions.Exit, click.exceptions.Abort, BrokenPipeError):
        raise
    except Exception as error:
        trace(error)
        click.echo(told(error), err=True)
        raise click.exceptions.Exit(1) from error


def told(error: Exception) -> str:
    """Return *error* as people are told it: a headline, the message, the hint."""
    if isinstance(error, (ExtensionError, MetaflowException)):
        return f"{error.headline}:\n{textwrap.indent(str(error), '    ')}"
    hint = "this is a bug; METAFLOW_DEBUG_CONDA=1 shows where it comes from"
    return f"Internal error:\n    {type(error).__name__}: {error}\n\n    hint: {hint}"


def trace(error: Exception) -> None:
    """Print where *error* comes from, on standard error, where that is asked for."""
    from metaflow.debug import debug

    if getattr(debug, "conda", False):
        traceback.print_exception(type(error), error, error.__traceback__)


def silence(*_words: Any, **_style: Any) -> None:
    """Say nothing, in place of Metaflow's echo."""


def banner_to_stderr() -> None:
    """Let Metaflow print its name and version on standard error: standard output is for data."""
    from metaflow.cmd import main_cli

    echo = main_cli.echo_always
    main_cli.echo_always = functools.partial(echo, err=True)


def storage(datastore: str, root: str) -> Any:
    """Return Metaflow's storage of the kind *datastore* at *root*."""
    return _storage_class(datastore)(root)


def _storage_class(datastore: str) -> Any:
    from metaflow import plugins

    return next(cls for cls in plugins.DATASTORES if datastore == cls.TYPE)


def code_package(flow: str, facts: Mapping[str, str]) -> bytes:
    """Return the code package that *facts*, the metadata ``code-package`` of a task of *flow*, name."""
    from metaflow.client.filecache import FileCache

    _, found = FileCache().get_data(facts["ds_type"], flow, facts["location"], facts["sha"])
    return bytes(found)


def version() -> str:
    """Return the version of Metaflow, without those of its extensions; one that is not told gives the empty string."""
    import metaflow

    return str(metaflow.__version__ or "").partition("+")[0]


def package_member(name: str) -> str | None:
    """Return the path of a file that we have put into the code package, in a task that runs from one; None without."""
    from metaflow.packaging_sys import ContentType, MetaflowCodeContent

    found = MetaflowCodeContent.get_filename(name, ContentType.OTHER_CONTENT)
    return None if found is None else str(found)


def default_datastore() -> str:
    """Return the datastore of flows that name none."""
    from metaflow.metaflow_config import DEFAULT_DATASTORE

    return str(DEFAULT_DATASTORE)


def use_metadata(text: str) -> None:
    """Look up past runs where *text* says, such as ``local@/folder`` or ``service``; raise InputError."""
    from metaflow import metadata

    try:
        metadata(text)
    except MetaflowException as error:
        raise InputError(f"--metadata {text}: {error}", "write local, local@FOLDER, or service") from error


def configured(names: tuple[str, ...]) -> dict[str, str | None]:
    """Return the raw values of configuration variables, by name without ``METAFLOW_``."""
    from metaflow import metaflow_config

    return {name: getattr(metaflow_config, name, None) for name in names}


def command() -> list[str]:
    """Return the words of the flow's command line that name the command being executed."""
    from metaflow._vendor import click

    words: list[str] = []
    context = click.get_current_context(silent=True)
    while context is not None:
        words = [context.info_name or "", *words]
        words += [word for word in getattr(context, "saved_args", None) or [] if word not in words]
        context = context.parent
    return words


def require_environment(name: str, environment: Any) -> None:
    """Raise where the decorator *name* would be ignored: a flow is executed or deployed without our environment.

    Another extension's environment of the same name is never ours.
    """
    if environment.TYPE in ENVIRONMENTS:
        if not type(environment).__module__.startswith(_PACKAGE):  # then our own check is not called
            require_own_plugins()
        return
    words = command()
    deploys = any(word in words for word in _DEPLOYING) and "create" in words
    if deploys or any(word in words for word in _EXECUTING):
        raise InvalidEnvironmentException(
            f"The @{name} decorator needs an environment: add --environment=conda right after the name of the flow's "
            "file, or set METAFLOW_DEFAULT_ENVIRONMENT=conda"
        )


def require_selected(what: str, environment: Any) -> None:
    """Raise where the flow's command *what* is called without our environment."""
    if environment.TYPE in ENVIRONMENTS:
        require_own_plugins()
        return
    raise InvalidEnvironmentException(
        f"'{what}' needs an environment: add --environment=conda right after the name of the flow's file, or set "
        "METAFLOW_DEFAULT_ENVIRONMENT=conda"
    )


def require_own_plugins() -> None:
    """Raise where another extension has taken the names of our decorators or environments."""
    from metaflow import plugins

    classes = list(plugins.STEP_DECORATORS) + list(plugins.FLOW_DECORATORS) + list(plugins.ENVIRONMENTS)
    for cls in classes:
        name = getattr(cls, "TYPE", None) or getattr(cls, "name", "")
        if name in _OURS and not cls.__module__.startswith(_PACKAGE):
            raise InvalidEnvironmentException(
                f"'{name}' is provided by {cls.__module__} and not by metaflow-netflixext: two extensions own the same "
                "decorators. Uninstall one of them"
            )


def flow_decorators(flow: Any) -> list[list[Any]]:
    """Return the flow-level decorators of *flow*'s class and its bases: a list a class, the most basic one first.

    Metaflow's own view drops a base's decorator where the class has one of the same name.
    """
    from metaflow.flowspec import FlowSpec, FlowStateItems

    levels = []
    bases: tuple[Any, ...] = type(flow).__mro__
    for cls in reversed(bases):
        if cls is not FlowSpec and issubclass(cls, FlowSpec):
            found = cls._flow_state.self_data.get(FlowStateItems.FLOW_DECORATORS) or {}
            levels.append([deco for decos in found.values() for deco in decos])
    for deco in (deco for level in levels for deco in level):
        deco.external_init()
    return levels


def needs(datastore: str) -> dict[str, str]:
    """Return the packages that Metaflow itself needs in an environment, by name, with their constraints."""
    from metaflow.metaflow_config import get_pinned_conda_libs

    return dict(get_pinned_conda_libs(None, "local" if datastore == "spin" else datastore))


def local_root(echo: Any) -> str:
    """Return the folder of the local datastore, which need not be there yet."""
    from metaflow.metaflow_config import DATASTORE_LOCAL_DIR
    from metaflow.plugins.datastores.local_storage import LocalStorage

    found = LocalStorage.get_datastore_root_from_config(echo, create_on_absent=False)
    return str(found or os.path.join(os.getcwd(), DATASTORE_LOCAL_DIR))


def content_files(package: Any) -> list[tuple[str, str]]:
    """Return (file, path in the package) for Metaflow, its extensions and packaged modules, once packaging is done."""
    from metaflow.packaging_sys import ContentType

    package.blob_with_timeout()
    wanted = ContentType.CODE_CONTENT.value | ContentType.MODULE_CONTENT.value
    return [(str(path), str(name)) for path, name in package._mfcontent.content_names(wanted)]


def content_data(package: Any) -> list[tuple[str, bytes]]:
    """Return (path in the package, bytes) of what packaging generates, once it is done."""
    from metaflow.packaging_sys import ContentType

    package.blob_with_timeout()
    items = package._mfcontent.contents(ContentType.OTHER_CONTENT)
    return [(str(name), content) for content, name in items if isinstance(content, bytes)]


def parameters(task: Any, datastore: str | None, wanted: Callable[[str], bool]) -> dict[str, str]:
    """Return the values of the run's parameters that are *wanted*, by name, as the parent of a runtime *task* has them.

    *datastore* is where the parent lies (``type@root``), None where the task lies. Configs are no parameters, and one
    without a value is left out.
    """
    names = {name: str(one.name) for name, one in task.flow._get_parameters() if not one.IS_CONFIG_PARAMETER}
    run, step, parent = str(task.input_paths[0]).split("/")[:3]  # to which spin adds the attempt
    stored = _flow_datastore(task, datastore).get_task_datastore(run, step, parent)
    values = {names[name]: stored[name] for name in names if wanted(names[name]) and name in stored}
    return {name: str(value) for name, value in values.items() if value is not None}


def run_parameters(flow: str, run: str, files: Any, wanted: Callable[[str], bool]) -> dict[str, str]:
    """Return what the run has stored of its parameters, as far as they are *wanted*, by the names of the artifacts.

    *files* is a `store.MetaflowStore` at the root of the flow's datastore, which also serves for lists of files and for
    many of them: Metaflow's class for S3 starts some dozens of processes for that.
    """
    from metaflow.datastore import FlowDataStore

    with tempfile.TemporaryDirectory(prefix="metaflow-parameters-") as folder:
        stored = FlowDataStore(flow, None, storage_impl=_reading(files, folder), ds_root=files.root)
        found: dict[str, str] = {}
        for task in stored.get_task_datastores(run, steps=["_parameters"]):
            names = [name for name in task if not name.startswith("_") and wanted(name)]
            found.update({name: str(task[name]) for name in names if task[name] is not None})
        return found


def _reading(files: Any, folder: str) -> Any:
    from metaflow.datastore.datastore_storage import CloseAfterUse

    storage: Any = _storage_class(files.datastore)

    class Reading(storage):
        def list_content(self, paths: Any) -> Any:
            found = [key for path in paths for key in files.list(path)]
            return [self.list_content_result(path=key.rstrip("/"), is_file=not key.endswith("/")) for key in found]

        def load_bytes(self, paths: Any) -> Any:
            def one(path: str) -> tuple[str, str | None, None]:
                local = os.path.join(folder, hashlib.sha256(path.encode("utf-8")).hexdigest())
                return path, (local if files.copy(path, local) else None), None

            with ThreadPoolExecutor(max_workers=_READERS) as pool:
                return CloseAfterUse(iter(list(pool.map(one, paths))))

    return Reading


def _flow_datastore(task: Any, datastore: str | None) -> Any:
    if datastore is None:
        return task._flow_datastore
    from metaflow.datastore import FlowDataStore

    kind, _, root = datastore.partition("@")
    return FlowDataStore(task.flow.name, None, storage_impl=_storage_class(kind), ds_root=root)
