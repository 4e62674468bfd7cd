"""A container's own Python runs this before the step: ``python -m ...bootstrap STEP DATASTORE ROOT ARCH WHICH``."""

import sys

import metaflow  # noqa: F401 - it loads our plugins, which must not find the rest half loaded

from ...host.containers import container

if __name__ == "__main__":
    sys.exit(container.main(sys.argv[1:]))
