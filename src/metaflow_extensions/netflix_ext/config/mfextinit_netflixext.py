"""The configuration variables: ``METAFLOW_<name>``, read as text; `host.settings` gives them types and defaults.

Metaflow executes this in every process of every task, copies its globals over its own configuration, and forwards
those that a user has set to containers, by their ``CONDA_`` prefix: without the credentials in them.
"""

import json
from typing import Any

from metaflow.metaflow_config import SPIN_ALLOWED_DECORATORS as _ALLOWED
from metaflow.metaflow_config_funcs import _all_configs, from_conf

from ..engine.secret import strip_all_credentials as _stripped

CONDA_CHANNELS = from_conf("CONDA_CHANNELS")
CONDA_CHANNEL_ALIAS = from_conf("CONDA_CHANNEL_ALIAS")
CONDA_CHANNEL_SETTINGS = from_conf("CONDA_CHANNEL_SETTINGS")
CONDA_ENVS_ROOT = from_conf("CONDA_ENVS_ROOT")
CONDA_LOCALROOT = from_conf("CONDA_LOCALROOT")
CONDA_S3ROOT = from_conf("CONDA_S3ROOT")
CONDA_AZUREROOT = from_conf("CONDA_AZUREROOT")
CONDA_GSROOT = from_conf("CONDA_GSROOT")
CONDA_PACKAGES_DIRNAME = from_conf("CONDA_PACKAGES_DIRNAME")
CONDA_ENVS_DIRNAME = from_conf("CONDA_ENVS_DIRNAME")
CONDA_DEPENDENCY_RESOLVER = from_conf("CONDA_DEPENDENCY_RESOLVER")
CONDA_INSTALLER = from_conf("CONDA_INSTALLER")
CONDA_LOCAL_DIST = from_conf("CONDA_LOCAL_DIST")
CONDA_LOCAL_DIST_DIRNAME = from_conf("CONDA_LOCAL_DIST_DIRNAME")
CONDA_LOCAL_PATH = from_conf("CONDA_LOCAL_PATH")
CONDA_PYPI_DEPENDENCY_RESOLVER = from_conf("CONDA_PYPI_DEPENDENCY_RESOLVER")
CONDA_MIXED_DEPENDENCY_RESOLVER = from_conf("CONDA_MIXED_DEPENDENCY_RESOLVER")
CONDA_DEFAULT_PYPI_SOURCE = from_conf("CONDA_DEFAULT_PYPI_SOURCE")
CONDA_PREFERRED_FORMAT = from_conf("CONDA_PREFERRED_FORMAT")
CONDA_REMOTE_INSTALLER = from_conf("CONDA_REMOTE_INSTALLER")
CONDA_REMOTE_INSTALLER_DIRNAME = from_conf("CONDA_REMOTE_INSTALLER_DIRNAME")
CONDA_SYS_DEFAULT_PACKAGES = from_conf("CONDA_SYS_DEFAULT_PACKAGES")
CONDA_SYS_DEFAULT_GPU_PACKAGES = from_conf("CONDA_SYS_DEFAULT_GPU_PACKAGES")
CONDA_REMOTE_COMMANDS = from_conf("CONDA_REMOTE_COMMANDS")
CONDA_USE_REMOTE_LATEST = from_conf("CONDA_USE_REMOTE_LATEST")
CONDA_BUILD_TIMEOUT = from_conf("CONDA_BUILD_TIMEOUT")
CONDA_PYPI_PYTHON = from_conf("CONDA_PYPI_PYTHON")
CONDA_INDEX_SETTINGS = from_conf("CONDA_INDEX_SETTINGS")
CONDA_SRCS_AUTH_INFO = from_conf("CONDA_SRCS_AUTH_INFO")
CONDA_TORCH_BACKEND = from_conf("CONDA_TORCH_BACKEND")


def _without_credentials(value: Any) -> str:
    """Return *value* as a container may see it, in which workflow it is written, too."""
    return _stripped(value if isinstance(value, str) else json.dumps(value))


for _name in ("METAFLOW_CONDA_CHANNELS", "METAFLOW_CONDA_CHANNEL_ALIAS", "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE"):
    _all_configs.update({_name: _all_configs[_name]._replace(serializer=_without_credentials)})
# Nothing but credentials: as if it were not set.
for _name in ("METAFLOW_CONDA_SRCS_AUTH_INFO",):
    _all_configs.update({_name: _all_configs[_name]._replace(is_default=True)})

SPIN_ALLOWED_DECORATORS = [
    *_ALLOWED,
    *(
        name
        for name in ("pip", "pip_base", "sys_packages", "sys_packages_base", "named_env", "named_env_base")
        if name not in _ALLOWED
    ),
]
