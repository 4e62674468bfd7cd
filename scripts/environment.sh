# Sourced by the other scripts: a virtual environment with the project and its tools, made once, in $bin.
# VENV chooses where (default .venv), PYTHON the interpreter that makes it (default: the first python3 that is new enough).
if [ -z "${PYTHON:-}" ]; then
    for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            PYTHON=$candidate
            break
        fi
    done
fi
: "${PYTHON:?no Python of version 3.10 or newer with the venv module was found; name one: PYTHON=/path/to/python3}"
VENV=${VENV:-.venv}
bin=$(pwd)/$VENV/bin
case $VENV in /*) bin=$VENV/bin ;; esac
stamp=$bin/../.installed
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    echo "Installing into $VENV ..." >&2
    "$PYTHON" -m venv "$VENV"
    "$bin/python" -m pip install -q --disable-pip-version-check -e '.[test,dev]'
    touch "$stamp"
fi
