"""Register the Jupyter kernel of an environment. Run by the environment's own Python (3.7 or newer) with its ipykernel.

Standard input holds JSON: ``name``, ``display_name``, ``env``, ``force``, ``mark``, which tells kernels of ours from
others, and ``facts``, what else is written into its metadata. Standard output gets JSON: the ``folder`` of the kernel,
or ``taken``, the folder of one that is not to be replaced, and the prefix ``of`` ours that it belongs to, empty where
it is not ours.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import Any


def main() -> None:
    """Register what standard input describes."""
    from ipykernel.kernelspec import write_kernel_spec
    from jupyter_client.kernelspec import KernelSpecManager

    asked = json.load(sys.stdin)
    manager = KernelSpecManager()
    taken, of = _taken(manager, asked["name"], asked["mark"])
    if taken and not asked["force"]:
        json.dump({"taken": taken, "of": of}, sys.stdout)
        return
    overrides = {
        "display_name": asked["display_name"],
        "env": asked["env"],
        "metadata": {"debugger": True, asked["mark"]: sys.prefix, **asked["facts"]},
    }
    folder = write_kernel_spec(overrides=overrides)
    try:
        json.dump({"folder": manager.install_kernel_spec(folder, kernel_name=asked["name"], user=True)}, sys.stdout)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _taken(manager: Any, name: str, mark: str) -> tuple[str, str]:
    """Return the folder of a kernel that is not to be replaced unasked, and the prefix of ours that it is of."""
    from jupyter_client.kernelspec import NoSuchKernel

    try:
        there = manager.get_kernel_spec(name)
    except NoSuchKernel:
        return "", ""
    except ValueError:  # no JSON: nobody can tell whose it is
        return manager.find_kernel_specs()[name], ""
    of = there.metadata.get(mark)
    if of is None:
        return there.resource_dir, ""
    ours = of == sys.prefix or not os.path.isdir(of)
    return ("", "") if ours else (there.resource_dir, of)


if __name__ == "__main__":
    main()
