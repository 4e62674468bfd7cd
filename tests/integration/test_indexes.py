"""Where PyPI packages come from: settings of pip and uv, the order of indexes, an index of a package's own."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.channel import Rule, Server, serve
from tests.indexes import Made, index
from tests.project import Finished, Project
from tests.refusal import check_refusal

pytestmark = pytest.mark.slow


@pytest.fixture(name="indexes")
def _indexes(tmp_path: Path) -> Iterator[Server]:
    """Two indexes that have `tool`, the second in a higher version, and a third that has what `tool` needs, too."""
    root = tmp_path / "indexes"
    index(root / "one", Made("tool", "1.0", requires=("part",)), Made("part", "1.0"))
    index(root / "two", Made("tool", "2.0"), Made("part", "2.0"), Made("only", "1.0"))
    with serve(root) as running:
        yield running


@pytest.fixture(name="user")
def _user(project: Project) -> Project:
    """A user whose index nobody has configured, with a home and caches of their own."""
    home = project.root / "user"
    (home / ".config" / "pip").mkdir(parents=True)
    del project.variables["METAFLOW_CONDA_DEFAULT_PYPI_SOURCE"]
    project.variables.update(
        {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "XDG_CONFIG_DIRS": str(home / "xdg"),
            "PIP_CONFIG_FILE": "",
            "UV_CACHE_DIR": str(home / "uv"),
            "UV_HTTP_RETRIES": "0",
            "RATTLER_CACHE_DIR": str(home / "rattler"),
        }
    )
    return project


def pip_conf(user: Project, text: str) -> Path:
    path = user.root / "user" / ".config" / "pip" / "pip.conf"
    path.write_text(text)
    return path


def resolve(
    user: Project, lines: str, *words: str, python: str = "3.11", variables: Mapping[str, str] | None = None
) -> Finished:
    """Resolve a requirements.txt of *lines*, and keep nothing."""
    user.write("requirements.txt", lines)
    asked = ("-r", "requirements.txt", "--python", python, "--skip-metaflow-deps", "--dry-run", "--json", *words)
    return user.metaflow("environment", "resolve", *asked, variables=variables)


def document(done: Finished) -> dict[str, Any]:
    """Return the document of the environment, which must have been resolved."""
    assert done.returncode == 0, done.output
    found = json.loads(done.stdout)["environments"][0]["environment"]
    assert isinstance(found, dict)
    return found


def wheels(found: Mapping[str, Any]) -> dict[str, str]:
    """Return name and version of each wheel."""
    return {item["name"]: item["version"] for item in found["packages"] if item["kind"] == "pypi"}


def test_settings_of_pip_are_sources(user: Project, indexes: Server) -> None:
    """Its extra index comes before its index, both are in the spec without credentials; what is missing is told."""
    one, two = f"{indexes.url}/one", f"{indexes.url}/two"
    file = pip_conf(
        user,
        f"[global]\nindex-url = {one.replace('://', '://u:s3cret@')}/\nextra-index-url = {two} file:///nowhere/simple\n"
        "find-links = /nowhere/wheels\n",
    )
    done = resolve(user, "tool\n")
    found = document(done)
    assert wheels(found) == {"tool": "2.0"}
    assert found["spec"]["indexes"] == [two, one]
    assert f"pip's find-links in {file}: '/nowhere/wheels' is skipped: it is neither a file nor a folder" in done.stderr
    assert "'file:///nowhere/simple' is skipped" in done.stderr
    assert "s3cret" not in done.output


def test_an_id_is_that_of_what_is_asked_and_where(user: Project, indexes: Server) -> None:
    """However an index is said, the same sources give the same id, and settings that count for nothing change none."""
    one, two = f"{indexes.url}/one", f"{indexes.url}/two"
    ours = {"METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": one}
    ways: list[tuple[str, dict[str, str]]] = [
        (f"--extra-index-url {two}\n", ours),
        ("", {"PIP_INDEX_URL": one, "PIP_EXTRA_INDEX_URL": two, "UV_INDEX_STRATEGY": "first-index"}),
        ("", {"UV_DEFAULT_INDEX": f"{one}/", "UV_INDEX": f"corp={two}"}),
        (f"--index-url {one}\n--extra-index-url {two}\n", {"PIP_INDEX_URL": "https://other.example/simple"}),
        (f"--extra-index-url {two}\n", {**ours, "PIP_INDEX_URL": two, "UV_DEFAULT_INDEX": two}),
        (
            f"--extra-index-url {two}\n",
            {**ours, "METAFLOW_CONDA_INDEX_SETTINGS": "none", "PIP_EXTRA_INDEX_URL": one, "PIP_NO_INDEX": "1"},
        ),
    ]
    found = [document(resolve(user, f"{lines}tool\n", variables=more))["req_id"] for lines, more in ways]
    assert len(set(found)) == 1, found
    other = document(resolve(user, "tool\n", variables={"PIP_INDEX_URL": two, "PIP_EXTRA_INDEX_URL": one}))
    assert other["req_id"] != found[0]


def test_an_index_of_pip_s_gives_way_where_it_has_nothing_that_will_do(user: Project, indexes: Server) -> None:
    """What it has goes first; a version that it lacks comes from the next, as pip would take it; the id tells."""
    one, two = f"{indexes.url}/one", f"{indexes.url}/two"
    variables = {"PIP_INDEX_URL": two, "PIP_EXTRA_INDEX_URL": one}
    assert wheels(document(resolve(user, "tool\n", variables=variables)))["tool"] == "1.0"
    found = document(resolve(user, "tool>=2\n", variables=variables))
    assert wheels(found)["tool"] == "2.0"
    assert found["spec"]["options"] == {"strategy": "unsafe-first-match"}
    refused = resolve(user, "tool>=2\n", variables={**variables, "UV_INDEX_STRATEGY": "first-index"})
    check_refusal(refused, "may be available on a subsequent index", "METAFLOW_CONDA_INDEX_SETTINGS=none")


def test_more_settings_of_pip(user: Project, indexes: Server) -> None:
    """A folder of links, no index and pre-releases are taken from variables of pip."""
    folder = user.root / "links"
    Made("tool", "3.0rc1").write(folder)
    variables = {"PIP_FIND_LINKS": str(folder), "PIP_NO_INDEX": "1", "PIP_PRE": "true"}
    found = document(resolve(user, "tool\n", variables=variables))
    assert wheels(found) == {"tool": "3.0rc1"}
    assert found["spec"]["indexes"] == []
    assert found["spec"]["options"] == {"find_links": [folder.as_uri()], "pre": True, "no_index": True}
    # Who names an index means it.
    asked = document(resolve(user, f"--index-url {indexes.url}/one\npart\n", variables={"PIP_NO_INDEX": "1"}))
    assert wheels(asked) == {"part": "1.0"}


def test_the_first_index_that_has_a_name_wins_unless_that_is_configured(user: Project, indexes: Server) -> None:
    """A later index with a higher version counts only where uv's unsafe strategy is asked for; the id tells."""
    sources = {"UV_DEFAULT_INDEX": f"{indexes.url}/two", "UV_INDEX": f"{indexes.url}/one"}
    safe = document(resolve(user, "tool\nonly\n", variables=sources))
    assert wheels(safe) == {"tool": "1.0", "part": "1.0", "only": "1.0"}
    assert "options" not in safe["spec"]
    unsafe = document(resolve(user, "tool\n", variables={**sources, "UV_INDEX_STRATEGY": "unsafe-best-match"}))
    assert wheels(unsafe)["tool"] == "2.0"
    assert unsafe["spec"]["options"] == {"strategy": "unsafe-best-match"}
    user.write("uv.toml", 'index-strategy = "unsafe-best-match"\n')
    again = document(resolve(user, "tool\n", variables=sources))
    assert again["req_id"] == unsafe["req_id"]


def test_a_package_comes_from_its_own_index_alone(user: Project, indexes: Server) -> None:
    """Asked for or brought along, the named package comes from there, whoever else has it, and nothing else does."""
    one, two = f"{indexes.url}/one", f"{indexes.url}/two"
    variables = {"PIP_INDEX_URL": one}
    brought = document(resolve(user, f"--package-index part {two}\ntool\n", variables=variables))
    assert wheels(brought) == {"tool": "1.0", "part": "2.0"}
    assert brought["spec"]["options"] == {"package_indexes": {"part": two}}
    urls = {item["name"]: item["url"].rpartition("/")[0] for item in brought["packages"] if item["kind"] == "pypi"}
    assert urls == {"tool": f"{one}/tool", "part": f"{two}/part"}
    # `only` is there, and no package that may come from there asks for it.
    check_refusal(resolve(user, f"--package-index part {two}\npart\nonly\n", variables=variables), "only was not found")


def test_an_explicit_index_has_a_name(user: Project, indexes: Server) -> None:
    """A pyproject's source names an index of the same file, or of uv's settings; an unknown one is told."""
    one, two = f"{indexes.url}/one", f"{indexes.url}/two"
    project = (
        '[project]\nname = "mine"\ndependencies = ["tool>=1", "part"]\n[tool.uv.sources]\ntool = { index = "corp" }\n'
    )
    table = f'[[{{}}index]]\nname = "corp"\nurl = "{two}"\nexplicit = true\n'
    variables = {"PIP_INDEX_URL": one}
    words = ("environment", "resolve", "-p", "pyproject.toml", "--skip-metaflow-deps", "--dry-run", "--json")

    user.write("pyproject.toml", project + table.format("tool.uv."))
    own = document(user.metaflow(*words, variables=variables))
    assert wheels(own) == {"tool": "2.0", "part": "1.0"}

    user.write("pyproject.toml", project)
    check_refusal(user.metaflow(*words, variables=variables), "the index 'corp'", "no index of that name is known")

    config = user.root / "user" / ".config" / "uv"
    config.mkdir()
    (config / "uv.toml").write_text(table.format(""))
    elsewhere = document(user.metaflow(*words, variables=variables))
    assert elsewhere["req_id"] == own["req_id"]


def test_a_decorator_gives_a_package_its_index(user: Project, indexes: Server) -> None:
    """`package_indices` and the order of indexes reach a run, and the step imports what it asked for."""
    script = user.write(
        "own.py",
        "from metaflow import FlowSpec, pypi, step\n\n\nclass OwnFlow(FlowSpec):\n"
        f"    @pypi(packages={{'tool': ''}}, package_indices={{'part': '{indexes.url}/two'}}, python='3.11')\n"
        "    @step\n    def start(self):\n        import part\n        import tool\n\n"
        "        self.saw = [tool.__version__, part.__version__]\n        self.next(self.end)\n\n"
        "    @step\n    def end(self):\n        pass\n\n\nif __name__ == '__main__':\n    OwnFlow()\n",
    )
    # What Metaflow needs is on the test server's index.
    simple = str(user.variables["METAFLOW_CONDA_CHANNELS"]).replace("/conda", "/simple")
    user.run(script, variables={"PIP_INDEX_URL": simple, "PIP_EXTRA_INDEX_URL": f"{indexes.url}/one"})
    assert user.latest("OwnFlow", "run['start'].task['saw'].data") == ["1.0", "2.0"]


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        ({"hashes": False}, [".whl"]),
        ({"metadata": False}, [".whl"]),
        ({"pages": False}, [".metadata"]),
        ({"pages": False, "hashes": False, "metadata": False}, [".whl"]),
    ],
    ids=["no hashes", "no metadata", "JSON", "JSON alone"],
)
def test_any_form_of_index_will_do(user: Project, form: dict[str, bool], asked: list[str]) -> None:
    """Without hashes they are computed, without metadata it is read off the wheel, and the JSON form is read."""
    root = index(user.root / "index", Made("tool", requires=("part",)), Made("part"), **form)
    full = index(user.root / "full" / "simple", Made("tool", requires=("part",)), Made("part"))
    with serve(root) as running:
        found = document(resolve(user, f"--index-url {running.url}\ntool\n"))
        requests = list(running.counts())
    with serve(full) as other:
        expected = document(resolve(user, f"--index-url {other.url}\ntool\n"))
    assert wheels(found) == {"tool": "1.0", "part": "1.0"}
    assert found["full_id"] == expected["full_id"]
    assert [end for end in asked if any(path.endswith(end) for path in requests)] == asked


@pytest.mark.parametrize(
    ("rule", "says", "hint"),
    [
        (
            Rule("/tool/", status=401, headers=(("WWW-Authenticate", "Basic"),)),
            "answers 401",
            "METAFLOW_CONDA_SRCS_AUTH_INFO",
        ),
        (Rule("/tool/", status=403), "answers 403", "METAFLOW_CONDA_SRCS_AUTH_INFO"),
        (Rule("/tool/", status=404), "tool was not found", "spelling"),
        (Rule("/tool/", status=429), "429", "later"),
        (Rule("/tool/", status=500), "500", "later"),
        (Rule("/tool/", status=503), "503", "later"),
    ],
    ids=["401", "403", "404", "429", "500", "503"],
)
def test_an_index_that_answers_badly_is_one_error(
    user: Project, indexes: Server, rule: Rule, says: str, hint: str
) -> None:
    """The message names the index, the status and what to do: which credentials are lacking, or that it may pass."""
    indexes.rules.append(rule)
    message = check_refusal(resolve(user, f"--index-url {indexes.url}/one\ntool\n"), says)
    assert hint in message.partition("hint: ")[2]
    if says != "tool was not found":
        assert f"{indexes.url}/one" in message


def test_an_index_that_recovers_is_no_error(user: Project, indexes: Server) -> None:
    """A server that asks to wait once is asked again."""
    indexes.rules.append(Rule("/tool/", status=429, times=1, headers=(("Retry-After", "1"),)))
    found = document(resolve(user, f"--index-url {indexes.url}/one\ntool\n", variables={"UV_HTTP_RETRIES": "2"}))
    assert wheels(found)["tool"] == "1.0"


def test_what_was_made_elsewhere_keeps_its_sources(user: Project, indexes: Server) -> None:
    """Requirements that are resolved anew come from their own sources, whatever uv's files name here."""
    one, two = f"{indexes.url}/one", f"{indexes.url}/two"
    user.write("requirements.txt", "tool\n")
    words = ("environment", "resolve", "--skip-metaflow-deps", "--json")
    given = ("-r", "requirements.txt", "--python", "3.11", "--alias", "team/tool:v1")
    made = user.metaflow(*words, *given, variables={"PIP_INDEX_URL": one})
    assert wheels(document(made))["tool"] == "1.0"
    links = user.root / "links"
    Made("tool", "9.0").write(links)
    user.write("uv.toml", f'index-strategy = "unsafe-best-match"\nfind-links = ["links"]\n[[index]]\nurl = "{two}"\n')
    again = document(user.metaflow("environment", "resolve", "--from", "team/tool:v1", "--force", "--json"))
    assert wheels(again) == {"tool": "1.0", "part": "1.0"}
    assert (again["req_id"], again["full_id"]) == (document(made)["req_id"], document(made)["full_id"])
    # What is asked for here has them.
    assert wheels(document(resolve(user, "tool\n", variables={"PIP_INDEX_URL": one})))["tool"] == "9.0"


def test_config_shows_what_counts_of_indexes(user: Project, indexes: Server) -> None:
    """Each setting is shown with whose it is, credentials masked, and as data."""
    one, two = f"{indexes.url}/one", f"{indexes.url}/two"
    pip_conf(user, f"[global]\nindex-url = {one.replace('://', '://u:s3cret@')}\nextra-index-url = {two}\n")
    variables = {"UV_INDEX": f"{one}/other", "METAFLOW_CONDA_TORCH_BACKEND": "cpu"}
    shown = user.metaflow("environment", "config", variables=variables)
    data = user.metaflow("environment", "--json", "config", variables=variables)
    assert (shown.returncode, data.returncode) == (0, 0), shown.output
    assert "s3cret" not in shown.output + data.output
    found = {row["name"]: (row["value"], row["source"]) for row in json.loads(data.stdout)["settings"]}
    assert found["index-url"] == (one.replace("://", "://****@"), "pip's settings")
    assert found["extra-index-url"] == (f"{one}/other, {two}", "uv's settings and pip's settings")
    assert found["torch-backend"] == ("cpu", "ours")
    assert found["find-links"] == ("", "default")
    left_out = user.metaflow("environment", "--json", "config", variables={"METAFLOW_CONDA_INDEX_SETTINGS": "none"})
    rows = {row["name"]: row["source"] for row in json.loads(left_out.stdout)["settings"]}
    assert rows["index-url"] == "default"


@pytest.mark.parametrize("way", ["netrc", "hosts"])
def test_a_private_index_without_hashes(user: Project, way: str) -> None:
    """What has to be fetched to be hashed is fetched with what opens the index, wherever that is kept."""
    root = index(user.root / "index", Made("tool"), hashes=False)
    with serve(root) as running:
        known = base64.b64encode(b"reader:s3cret").decode()
        running.rules.append(Rule("", require_token=known, headers=(("WWW-Authenticate", "Basic"),)))
        variables = {}
        if way == "netrc":
            (user.root / "user" / ".netrc").write_text("machine 127.0.0.1 login reader password s3cret\n")
            (user.root / "user" / ".netrc").chmod(0o600)
        else:
            host = running.url.rpartition("/")[2]
            variables = {"METAFLOW_CONDA_SRCS_AUTH_INFO": json.dumps({host: ["reader", "s3cret"]})}
        found = document(resolve(user, f"--index-url {running.url}\ntool\n", variables=variables))
    assert wheels(found) == {"tool": "1.0"}
