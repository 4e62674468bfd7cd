"""The named sets of channel contents, as data."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import ChannelError

EVERY = ("3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")


@dataclass(frozen=True)
class Group:
    """Requirements that are resolved together, once for each Python minor."""

    minors: tuple[str, ...]
    requirements: tuple[str, ...]


@dataclass(frozen=True)
class Definition:
    """What one channel holds; `most` limits it to so many of the newest minors at hand."""

    name: str
    summary: str
    minors: tuple[str, ...]
    groups: tuple[Group, ...]
    extras: tuple[str, ...] = ()
    most: int | None = None


SPECIAL = (
    "activate-demo",
    "hello-tool",
    "missing-dependency",
    "needs-new-glibc",
    "needs-cuda",
    "other-platform",
    "corrupt-package",
    "tampered-package",
    "legacy-archive",
    "both-archives",
)

SETS = (
    Definition(
        name="demo",
        summary="the two newest Pythons, pip, requests, itsdangerous and a tool",
        minors=EVERY,
        most=2,
        groups=(
            Group(EVERY, ("pip", "requests", "click", "itsdangerous")),
            Group(EVERY, ("itsdangerous==2.1.2",)),
        ),
        extras=("hello-tool", "activate-demo"),
    ),
    Definition(
        name="tests",
        summary="every Python found, compiled packages, and packages that are broken on purpose",
        minors=EVERY,
        groups=(
            Group(EVERY, ("pip", "requests", "click", "itsdangerous")),
            Group(("3.9", "3.11", "3.13"), ("numpy",)),
            Group(("3.11",), ("pandas", "numpy")),
            Group(("3.8", "3.11"), ("itsdangerous==2.1.2",)),
            Group(("3.8", "3.11"), ("itsdangerous==1.1.0",)),
            Group(("3.11",), ("itsdangerous==2.2.0",)),
            Group(("3.11",), ("setuptools",)),
        ),
        extras=SPECIAL,
    ),
    Definition(
        name="stores",
        summary="two Pythons, and what flows need whose datastore is S3",
        minors=("3.11", "3.13"),
        groups=(
            Group(("3.11", "3.13"), ("pip", "requests", "boto3", "click", "itsdangerous")),
            Group(("3.13",), ("numpy",)),
        ),
    ),
    Definition(
        name="clouds",
        summary="a Python, and what flows need whose datastore is Azure Blob Storage or Google Storage",
        minors=("3.13",),
        groups=(
            Group(("3.13",), ("requests", "click", "itsdangerous")),
            Group(
                ("3.13",),
                ("azure-identity", "azure-storage-blob", "azure-keyvault-secrets", "simple-azure-blob-downloader"),
            ),
            Group(
                ("3.13",),
                (
                    "google-cloud-storage",
                    "google-auth",
                    "google-cloud-secret-manager",
                    "simple-gcp-object-downloader",
                    "packaging",
                ),
            ),
        ),
    ),
    Definition(
        name="bench",
        summary="environments of the size people really use",
        minors=("3.10", "3.11"),
        groups=(
            Group(("3.10", "3.11"), ("pip", "requests", "click", "itsdangerous")),
            Group(("3.11",), ("pandas", "requests", "boto3", "pip", "ipykernel")),
            Group(("3.10",), ("scikit-learn", "requests", "boto3", "pip", "ipykernel")),
        ),
        extras=("hello-tool", "activate-demo"),
    ),
)


def definition(name: str) -> Definition:
    """Return the set of that name."""
    for one in SETS:
        if one.name == name:
            return one
    names = ", ".join(one.name for one in SETS)
    raise ChannelError(f"no set is called {name!r}; there are: {names}")
