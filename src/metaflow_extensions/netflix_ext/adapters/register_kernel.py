"""Register the Jupyter kernel of an environment. Run by the environment's own Python (3.7 or newer) with its ipykernel.

Standard input holds JSON: ``name``, ``display_name``, ``env``, ``force``, and ``mark``, which tells kernels of ours
from others. Standard output gets JSON: the ``folder`` of the kernel, or ``taken``, the folder of one that is not ours.
"""

from __future__ import annotations

import json
import shutil
import sys


def main() -> None:
    """Register what standard input describes."""
    from ipykernel.kernelspec import write_kernel_spec
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    asked = json.load(sys.stdin)
    manager = KernelSpecManager()
    try:
        there = manager.get_kernel_spec(asked["name"])
    except NoSuchKernel:
        there = None
    if there is not None and not asked["force"] and asked["mark"] not in there.metadata:
        json.dump({"taken": there.resource_dir}, sys.stdout)
        return
    overrides = {
        "display_name": asked["display_name"],
        "env": asked["env"],
        "metadata": {"debugger": True, asked["mark"]: True},
    }
    folder = write_kernel_spec(overrides=overrides)
    try:
        json.dump({"folder": manager.install_kernel_spec(folder, kernel_name=asked["name"], user=True)}, sys.stdout)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
