"""Run by a container's own Python before the step: ``python -m ...plugins.conda.bootstrap STEP DATASTORE ROOT ID``."""

import sys

from ...host import container

if __name__ == "__main__":
    sys.exit(container.main(sys.argv[1:]))
