"""What a user writes wrongly is told in one message, and changes nothing."""

from __future__ import annotations

import pytest

from tests.project import Project
from tests.refusal import ONE, check_refusal, refused

pytestmark = pytest.mark.slow


def conda(packages: str, more: str = "") -> str:
    """Return the SPEC of one @conda with *packages*, as written in Python."""
    return f"[conda(packages={packages}{more})]"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("[conda(libraries={'no-such': ''})]", ["no channel has a package named no-such", "check the spelling"]),
        ("[conda(libraries={'itsdangerus': ''})]", ["names like it: itsdangerous"]),
        ("[pypi(packages={'no-such': ''})]", ["no-such was not found", "check the spelling"]),
    ],
    ids=["conda", "near", "pypi"],
)
def test_an_unknown_package_is_named(fresh: Project, spec: str, says: list[str]) -> None:
    """The step, the platform and the name that nobody has are told, with names like it."""
    refused(fresh, "step start, for linux-64: ", *says, SPEC=spec)


@pytest.mark.parametrize(
    ("spec", "flow", "says"),
    [
        (
            "[conda(packages={'itsdangerous': '2.1.2'}), conda(packages={'itsdangerous': '2.2.0'})]",
            "[]",
            ["itsdangerous ==2.1.2", "itsdangerous ==2.2.0", "loosen"],
        ),
        (
            "[conda(packages={'pandas': ''}, python='3.11')]",
            "[conda_base(packages={'numpy': '<2'})]",
            ["numpy <2", "versions of numpy there: 2."],
        ),
        (
            "[conda(packages={'pandas': ''})]",
            "[conda_base(python='3.9')]",
            ["pandas *", "python >=3.11", "the Python of the step is 3.9.*"],
        ),
        (
            "[conda(packages={'itsdangerous': '2.1.2'}), pypi(packages={'itsdangerous': '>=2.2'})]",
            "[]",
            ["itsdangerous>=2.2", "Already there,", "and never replaced: itsdangerous 2.1.2", "change the constraint"],
        ),
        (
            "[pypi(packages={'itsdangerous': '2.1.2'}), pypi(packages={'itsdangerous': '2.2.0'})]",
            "[]",
            ["itsdangerous==2.1.2 and itsdangerous==2.2.0"],
        ),
        (
            "[pypi(packages={'requests': '==2.0'})]",
            "[]",
            ["requests==2.0", "Metaflow itself needs requests >=2.21.0"],
        ),
        (
            "[conda(packages={'requests': '==2.0'})]",
            "[]",
            ["requests ==2.0", "Metaflow itself needs requests >=2.21.0"],
        ),
        (
            "[conda(packages={'missing-dependency': ''})]",
            "[]",
            ["missing-dependency 1.0.0 would require", "does-not-exist-anywhere >=1"],
        ),
    ],
    ids=["conda", "flow-step", "python", "mixed", "pypi", "metaflow-pypi", "metaflow-conda", "dependency"],
)
def test_a_conflict_is_explained(fresh: Project, spec: str, flow: str, says: list[str]) -> None:
    """The solver's explanation names both sides of a conflict, wherever they come from."""
    refused(fresh, "step start, for linux-64: ", *says, SPEC=spec, FLOW_SPEC=flow)


def test_a_python_that_no_channel_has(fresh: Project) -> None:
    """The versions of Python that the channels have are told."""
    refused(
        fresh,
        "step start, for linux-64: ",
        "python 3.99.*",
        "versions of python there: ",
        "3.8, 3.9, ",
        SPEC="[conda(packages={'click': ''}, python='3.99')]",
    )


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("[conda(packages={'click': '1..2'})]", ["'click': '1..2' is not a version", "'1.26.*'"]),
        ("[conda(packages={'click': '>>1'})]", ["'click': '>>1' is not a version"]),
        ("[pypi(packages={'click': '1..2'})]", ["'click': '1..2' is not a version", "PEP 440"]),
        ("[pypi(packages={'click': '>>1'})]", ["'click': '>>1' is not a version", "PEP 440"]),
        ("[conda(packages={'cl ick!': ''})]", ["'cl ick!' is not the name of a conda package"]),
        ("[pypi(packages={'cl ick!': ''})]", ["'cl ick!' is not a requirement"]),
        ("[conda(packages={3: '1'})]", ["3 is not the name of a conda package"]),
        ("[conda(packages={'click': 8.1})]", ["'click': the version 8.1 is not text", "quotes, such as '8.1'"]),
        ("[conda(python=3.10)]", ["python=3.1 is a number", "in quotes: python='3.10'"]),
        ("[conda(python=3.9)]", ["python=3.9 is a number", "in quotes: python='3.9'"]),
        ("[conda(python='snake')]", ["python='snake' is not a version of Python"]),
        ("[conda(libraries=['click'])]", ["libraries=['click'] is not a dictionary", "'package': 'version'"]),
        ("[conda(channels='conda-forge')]", ["channels='conda-forge' is not a list of texts"]),
        ("[pypi(extra_indices='x')]", ["extra_indices='x' is not a list of texts"]),
        ("[conda(disabled='maybe')]", ["disabled='maybe' is neither True nor False"]),
        ("[sys_packages(packages={'glibc': '2.28'})]", ["'glibc: 2.28' is no virtual package", "__glibc"]),
        ("[sys_packages(packages={'__glibc': '>=2.28'})]", ["'__glibc: >=2.28' is no virtual package"]),
        ("[sys_packages(packages={'__glibc': 2.28})]", ["'__glibc': the version 2.28 is not text"]),
    ],
)
def test_a_word_that_cannot_be_read(fresh: Project, spec: str, says: list[str]) -> None:
    """The step, the decorator, what was written and what to write instead are told; nothing was asked of a channel."""
    refused(fresh, f"step start: @{spec[1:].partition('(')[0]}: ", *says, SPEC=spec)


def test_a_flow_level_word_that_cannot_be_read(fresh: Project) -> None:
    """A mistake of the flow's decorator is not put down to a step."""
    refused(fresh, "the flow: @conda_base: python=3.1 is a number", FLOW_SPEC="[conda_base(python=3.10)]")


def test_a_package_of_another_platform(fresh: Project) -> None:
    """A package that is not built for the platform is told from an unknown one."""
    refused(
        fresh,
        "other-platform is there for 'osx-arm64' alone, not for linux-64",
        "add a channel that builds it for linux-64",
        SPEC="[conda(packages={'other-platform': ''})]",
    )


def test_a_machine_that_is_too_old(fresh: Project) -> None:
    """What this machine's glibc cannot run is refused before a byte of it is fetched, in an earlier cache or not."""
    cold = {"RATTLER_CACHE_DIR": str(fresh.root / "cache")}
    refused(
        fresh,
        "step start: needs-new-glibc-1.0.0-0.conda needs __glibc >=2.99, and this machine has 2.",
        "run it on a machine that has it",
        resolved=True,
        SPEC="[conda(packages={'needs-new-glibc': ''}), sys_packages(packages={'__glibc': '2.99'})]",
        **cold,
    )
    assert list((fresh.root / "cache").glob("pkgs/*")) == []

    done = fresh.flow(ONE, "run", variables={"SPEC": conda("{'needs-new-glibc': ''}"), "CONDA_OVERRIDE_GLIBC": "2.99"})
    assert done.returncode == 0, done.output


def test_a_machine_that_is_too_old_for_the_target(fresh: Project) -> None:
    """Without @sys_packages the documented glibc is what counts, and the message says how to give another."""
    refused(
        fresh,
        "__glibc >=2.99, for which no candidates were found",
        "__glibc 2.28",
        "@sys_packages",
        SPEC=conda("{'needs-new-glibc': ''}"),
    )


@pytest.mark.parametrize("kind", ["decorator", "environment"])
def test_another_extension_with_the_same_names(fresh: Project, kind: str) -> None:
    """Two extensions that own `conda` are told by name, whatever of ours the other has replaced."""
    plugins = fresh.root / "path" / "metaflow_extensions" / "zother" / "plugins"
    plugins.mkdir(parents=True)
    tables = {
        "decorator": "STEP_DECORATORS_DESC = [('conda', '.other.OtherDecorator')]\n",
        "environment": "ENVIRONMENTS_DESC = [('conda', '.other.OtherEnvironment')]\n",
    }
    (plugins / "mfextinit_zother.py").write_text(tables[kind])
    (plugins / "other.py").write_text(
        "from metaflow.decorators import StepDecorator\n"
        "from metaflow.metaflow_environment import MetaflowEnvironment\n"
        "class OtherDecorator(StepDecorator):\n"
        "    name = 'conda'\n"
        "    defaults = {'packages': {}, 'libraries': {}, 'disabled': None}\n"
        "class OtherEnvironment(MetaflowEnvironment):\n"
        "    TYPE = 'conda'\n"
    )
    variables = {"PYTHONPATH": str(fresh.root / "path"), "SPEC": "[conda(libraries={'click': ''})]"}
    done = fresh.flow(ONE, "run", variables=variables)

    check_refusal(done, "'conda' is provided by metaflow_extensions.zother.plugins.other", "Uninstall one of them")
    assert "Task is starting" not in done.output
