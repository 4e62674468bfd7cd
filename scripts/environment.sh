# Sourced by the other scripts: a virtual environment with the project and its tools, made once, in $bin.
# VENV chooses where (default .venv), PYTHON the interpreter that makes it (default: the first that can).
able() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }
for candidate in ${PYTHON:+"$PYTHON"} ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10 /usr/bin/python3}; do
    if able "$candidate"; then found=$candidate && break; fi
done
if [ -z "${found:-}" ]; then
    echo "${PYTHON:-no python3 that was found} is not Python 3.10 or newer with the modules venv and ensurepip." >&2
    echo "Install one (on Debian: apt install python3-venv), or name another: PYTHON=/path/to/python3 $0" >&2
    exit 1
fi
VENV=${VENV:-.venv}
case $VENV in /*) bin=$VENV/bin ;; *) bin=$(pwd)/$VENV/bin ;; esac
export PIP_USER=0 # pip puts everything into the virtual environment, whatever it does elsewhere
unset PIP_TARGET PIP_PREFIX PIP_ROOT
if [ ! -e "$bin/../.installed" ] || [ pyproject.toml -nt "$bin/../.installed" ]; then
    echo "Installing into $VENV with $found ..." >&2
    "$found" -m venv "$VENV"
    "$bin/python" -m pip install -q --disable-pip-version-check -e '.[test,dev,docs]'
    touch "$bin/../.installed"
fi
