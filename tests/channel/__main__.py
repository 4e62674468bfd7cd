"""Build, serve and list channel sets from the command line."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from .cache import ensure, folder
from .errors import ChannelError
from .interpreters import find
from .server import serve
from .sets import SETS


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "build":
            _out(str(ensure(options.set, into=options.into)))
        elif options.command == "serve":
            _serve(ensure(options.set), options.port)
        else:
            _list()
    except (ChannelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.channel", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build a set and print its folder")
    build.add_argument("set")
    build.add_argument("--into", type=Path, help="an empty folder to use instead of the cache")
    served = commands.add_parser("serve", help="serve a set and print its URL")
    served.add_argument("set")
    served.add_argument("--port", type=int, default=0, help="0 chooses a free one")
    commands.add_parser("list", help="show the sets and the interpreters found")
    return parser


def _serve(root: Path, port: int) -> None:
    with serve(root, port=port) as server:
        _out(server.url)
        print(f"channel {server.channel}, index {server.simple}", file=sys.stderr)
        threading.Event().wait()


def _list() -> None:
    for one in SETS:
        _out(f"set\t{one.name}\t{one.summary}")
    for minor, found in find(folder()).items():
        _out(f"python\t{minor}\t{found.version}\t{found.executable}")


def _out(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
