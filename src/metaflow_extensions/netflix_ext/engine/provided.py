"""What an environment has of Python distributions before an index is asked, and whether that may stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from .errors import ResolveError
from .options import PypiOptions
from .package import CondaPackage, PypiPackage
from .request import Request
from .resolved import ResolvedEnvironment


def provided(packages: Iterable[CondaPackage], names: Mapping[str, str]) -> dict[str, str]:
    """Return the Python distributions that conda packages bring: the version by the canonical name."""
    found: dict[str, str] = {}
    for package in packages:
        for name, version in distributions(package, names):
            found.setdefault(name, version)
    return found


def distributions(package: CondaPackage, names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the (canonical name, version) of the Python distributions in a conda package.

    Its ``purls`` say so; without them a package that needs Python at run time is taken to be the distribution that
    *names* (conda name to PyPI name) gives, else that of its own name.
    """
    purls = [purl.partition("?")[0].removeprefix("pkg:pypi/") for purl in package.purls if purl.startswith("pkg:pypi/")]
    if purls:
        pairs = (purl.partition("@") for purl in purls)
        return tuple((str(canonicalize_name(name)), version or package.version) for name, _, version in pairs)
    if package.name in ("python", "python_abi") or not _needs_python(package):
        return ()
    return ((str(canonicalize_name(names.get(package.name, package.name))), package.version),)


def _needs_python(package: CondaPackage) -> bool:
    return package.noarch == "python" or any(depend.split()[0] == "python" for depend in package.depends if depend)


def check_apart(conda: Iterable[CondaPackage], wheels: Iterable[PypiPackage], names: Mapping[str, str]) -> None:
    """Raise ResolveError where a conda package brings a distribution that a wheel of the base has brought."""
    brought = {str(canonicalize_name(wheel.name)): wheel for wheel in wheels}
    for package in conda:
        for name, version in distributions(package, names):
            if name in brought:
                raise ResolveError(
                    f"conda's {package.name} {package.version} would bring {name} {version}, which the environment to "
                    f"extend has from PyPI, as {brought[name].filename}",
                    f"ask for it by @pypi, in a version that agrees with {name} {brought[name].version}",
                )


def check_options(request: Request, conda: Mapping[str, str], wheels: Iterable[PypiPackage]) -> None:
    """Raise ResolveError where what is there already breaks a constraint, or is not the file whose hash is given.

    Of all else the solver sees to that. A constraint with a marker or a link is the solver's alone.
    """
    spec = request.spec
    options = spec.options if spec.pypi or request.extension is not None else PypiOptions()
    there = {**conda, **{str(canonicalize_name(wheel.name)): wheel.version for wheel in wheels}}
    for item in options.constraints:
        if item.name in there and not item.marker and not item.url and not _meets(there[item.name], item.specifier):
            raise ResolveError(
                f"the constraint '{item}' is not met by {item.name} {there[item.name]}, which is there already, from "
                "conda or from the environment to extend",
                "change the constraint, or the version that conda is asked for or that the environment to extend has",
            )
    for name in sorted({item.name for item in spec.pypi} & conda.keys()):
        if options.hashes_of(name):
            raise ResolveError(
                f"'{name}' is asked for with the hashes of its files, and conda supplies {conda[name]}, which is no "
                "such file",
                "take the hashes out, or leave it out of what conda is asked for",
            )
    if request.extension is not None:
        _check_hashes(options, request.extension.base)


def _check_hashes(options: PypiOptions, base: ResolvedEnvironment) -> None:
    """Raise ResolveError where a wheel of *base* is not one whose hash is given now."""
    before = PypiOptions.from_dict(base.spec.get("options", {}))
    for wheel in base.pypi:
        name = str(canonicalize_name(wheel.name))
        hashes = options.hashes_of(name)
        # What the base was held to, it met: perhaps by a hash that only the bytes can tell.
        if hashes != before.hashes_of(name) and f"sha256:{wheel.sha256}" not in hashes:
            raise ResolveError(
                f"the environment to extend has {wheel.filename}, and its hash is not one that is given: expected "
                f"{', '.join(sorted(hashes))}, found sha256:{wheel.sha256}",
                "take the hashes out, or resolve an environment of its own",
            )


def _meets(version: str, specifier: str) -> bool:
    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidVersion:  # conda has versions that PyPI cannot say
        return True
