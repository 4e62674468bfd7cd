#!/usr/bin/env python3
"""A stand-in for micromamba, as far as `create --prefix P --file F` goes; it links .tar.bz2 packages.

With the standard library alone: it is put into a store and run in a container.
"""

import glob
import json
import os
import shutil
import sys
import tarfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

WORDS = sys.argv[1:]
PREFIX, LISTED = WORDS[WORDS.index("--prefix") + 1], WORDS[WORDS.index("--file") + 1]


def link(archive: str, aside: str) -> None:
    with tarfile.open(archive, "r:bz2") as packed:
        packed.extractall(aside)
    index = json.loads(Path(f"{aside}/info/index.json").read_text())
    library = next(iter(glob.glob(f"{PREFIX}/lib/python3.*")), "")
    for item in json.loads(Path(f"{aside}/info/paths.json").read_text())["paths"]:
        path, source = item["_path"], f"{aside}/{item['_path']}"
        if index.get("noarch") == "python" and path.startswith("site-packages/"):
            path = f"{os.path.relpath(library, PREFIX)}/{path}"
        target = f"{PREFIX}/{path}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.move(source, target)
        if item.get("prefix_placeholder"):
            data = Path(target).read_bytes()
            Path(target).write_bytes(data.replace(item["prefix_placeholder"].encode(), PREFIX.encode()))
    os.makedirs(f"{PREFIX}/conda-meta", exist_ok=True)
    with open(f"{PREFIX}/conda-meta/{index['name']}-{index['version']}-{index['build']}.json", "w") as file:
        json.dump({**index, "installed_by": "a stand-in"}, file)


if __name__ == "__main__":
    assert WORDS[0] == "create", WORDS
    for number, url in enumerate(Path(LISTED).read_text().split()[1:]):
        folder = f"{PREFIX}.unpacked.{number}"
        link(unquote(urlsplit(url).path), folder)
        shutil.rmtree(folder)
