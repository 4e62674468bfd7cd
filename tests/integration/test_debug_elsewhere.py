"""Past tasks from S3, of 1.x, with code of an older form, and the story of a model whose parameters are changed."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import metaflow
import pytest

from tests.channel import Server
from tests.integration.debugged import KEPT, opened, played, scripted, tasks
from tests.left_by_1x import FULL, REQ, left
from tests.project import Project, Serving, somebody, store_python

pytestmark = pytest.mark.slow

OLD = """\
from metaflow import FlowSpec, named_env, step


class OldFlow(FlowSpec):
    @named_env(name="team/old:v1")
    @step
    def start(self):
        import itsdangerous

        self.found = itsdangerous.__version__
        self.next(self.end)

    @named_env(name="team/old:v1")
    @step
    def end(self):
        self.twice = self.found * 2


if __name__ == "__main__":
    OldFlow()
"""
FAR = """\
from metaflow import FlowSpec, conda_base, step


@conda_base(libraries={"itsdangerous": ""}, python="3.11")
class FarFlow(FlowSpec):
    @step
    def start(self):
        self.items = ["a", "b", "c"]
        self.next(self.each, foreach="items")

    @step
    def each(self):
        import itsdangerous

        self.made = f"{self.input}{itsdangerous.__name__.count('s') + 1}"
        self.next(self.join)

    @step
    def join(self, inputs):
        self.all = [given.made for given in inputs]
        self.merge_artifacts(inputs, include=["items"])
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    FarFlow()
"""
HOUSES = """\
from metaflow import FlowSpec, pypi, step


class HousePricePredictionFlow(FlowSpec):
    @pypi(packages={"scikit-learn": ">=1.4"}, python="3.11")
    @step
    def start(self):
        from sklearn.datasets import make_regression

        self.features, self.labels = make_regression(n_samples=60, n_features=4, random_state=0)
        self.grid = [
            {"n_estimators": 5, "learning_rate": 0.1, "max_depth": 2},
            {"n_estimators": 8, "learning_rate": 0.2, "max_depth": 3},
        ]
        self.next(self.fit_gbrt_for_given_param, foreach="grid")

    @pypi(packages={"scikit-learn": ">=1.4"}, python="3.11")
    @step
    def fit_gbrt_for_given_param(self):
        \"\"\"
        Fit GBRT with given parameters
        \"\"\"

        from sklearn import ensemble
        from sklearn.model_selection import cross_val_score
        import numpy as np


        estimator = ensemble.GradientBoostingRegressor(
            n_estimators=self.input['n_estimators'], learning_rate=self.input['learning_rate'],
            max_depth=self.input['max_depth'], min_samples_split=2, loss='squared_error', random_state=0)

        estimator.fit(self.features, self.labels)

        mses = cross_val_score(estimator, self.features, self.labels, cv=5, scoring='neg_mean_squared_error')
        rmse = np.sqrt(-mses).mean()


        self.fit = dict(
            index=int(self.index),
            params=self.input,
            rmse=rmse,
            estimator=estimator
        )

        self.next(self.select_best_model)

    @pypi(packages={"scikit-learn": ">=1.4"}, python="3.11")
    @step
    def select_best_model(self, inputs):
        self.best = min((given.fit for given in inputs), key=lambda fit: fit["rmse"])
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    HousePricePredictionFlow()
"""
# The cell of the body that makes the model, with another parameter, and the ones below it.
AGAIN = """
estimator = ensemble.GradientBoostingRegressor(
    n_estimators=self.input['n_estimators'], learning_rate=self.input['learning_rate'],
    max_depth=self.input['max_depth'], min_samples_split=30, loss='squared_error', random_state=0)
estimator.fit(self.features, self.labels)
mses = cross_val_score(estimator, self.features, self.labels, cv=5, scoring='neg_mean_squared_error')
before, rmse = self.fit["rmse"], np.sqrt(-mses).mean()
self.fit = dict(index=int(self.index), params=self.input, rmse=rmse, estimator=estimator)
print(before != rmse, self.fit["rmse"] == rmse, self.fit["index"], self.fit["estimator"].min_samples_split)
"""


@pytest.mark.network
def test_a_model_whose_parameters_are_changed(fresh: Project, tmp_path: Path) -> None:
    """The step's cells run as they were, and again with another parameter, on the same data, in its environment."""
    fresh.variables.update(METAFLOW_CONDA_DEFAULT_PYPI_SOURCE="", JUPYTER_DATA_DIR=str(tmp_path / "jupyter"))
    fresh.run(fresh.write("houses.py", HOUSES), variables=KEPT)
    run = str(fresh.latest("HousePricePredictionFlow", "run.pathspec"))
    pathspec = tasks(fresh, run)["fit_gbrt_for_given_param 1"]

    answer = opened(fresh, pathspec, tmp_path / "debug_task", "--run")

    assert answer["run"]["traceback"] is None
    assert answer["run"]["changed"].keys() <= {"fit"}
    recorded = f"import metaflow; recorded = metaflow.Task('{pathspec}', _namespace_check=False)['fit'].data"
    printed = played(
        fresh,
        answer["notebook"],
        f"{recorded}; print(recorded['rmse'] == self.fit['rmse'], self.input['n_estimators'])",
        AGAIN,
    )
    assert printed == ["True 8", "True True 1 30"]


@pytest.mark.network
def test_from_s3(serving: Serving, store_channel: Server, tmp_path: Path) -> None:
    """Code, artifacts and the environment come from S3; the notebook of a join executes, and so does a step."""
    user = somebody(tmp_path / "user", store_channel, serving("s3"))
    user.variables.update(METAFLOW_DEFAULT_DATASTORE="s3", JUPYTER_DATA_DIR=str(tmp_path / "jupyter"))
    user.variables["METAFLOW_CLIENT_CACHE_PATH"] = str(tmp_path / "client")
    user.run(user.write("far.py", FAR.replace("3.11", store_python())), variables=KEPT)
    ran = tasks(user, str(user.latest("FarFlow", "run.pathspec")))
    user.variables["METAFLOW_CONDA_DEFAULT_PYPI_SOURCE"] = ""

    join = opened(user, ran["join"], tmp_path / "join")
    each = opened(user, ran["each 1"], tmp_path / "each", "--no-kernel", "--run")

    assert played(user, join["notebook"], "print(self.all, len(inputs), self.items)") == [
        "['a3', 'b3', 'c3'] 3 ['a', 'b', 'c']"
    ]
    assert each["run"]["traceback"] is None
    assert (each["run"]["changed"], each["run"]["missing"]) == ({}, [])


def test_of_1x(fresh: Project, server: Server, built: Path, tmp_path: Path) -> None:
    """A task in an environment of 1.x, with the code package of an older Metaflow, opens with both."""
    store = left(tmp_path / "store", built, server.channel, server.simple)
    store.publish("team/old/v1")
    fresh.variables.update(
        METAFLOW_CONDA_LOCALROOT=str(store.root),
        RATTLER_CACHE_DIR=str(tmp_path / "rattler"),
        UV_CACHE_DIR=str(tmp_path / "uv"),
    )
    fresh.run(fresh.write("old.py", OLD), variables=KEPT)
    task = str(fresh.latest("OldFlow", "run['end'].task.pathspec"))
    _as_it_was(fresh, task)

    answer = opened(fresh, task, tmp_path / "debug", "--no-kernel", "--run")

    assert (answer["environment"]["req_id"], answer["environment"]["full_id"]) == (REQ, FULL)
    assert (answer["run"]["traceback"], answer["run"]["changed"]) == (None, {})
    done = scripted(fresh, answer, "import metaflow; print('SAW', self.found, self.twice, metaflow.__file__)")
    assert f"SAW 2.1.2 2.1.22.1.2 {tmp_path}/debug/metaflow/__init__.py" in done.stdout, done.output


def _as_it_was(project: Project, task: str) -> None:
    """Let a task have a code package as it was made before Metaflow 2.16: nothing in `.mf_code`."""
    packed = io.BytesIO()
    extension = Path(__file__).parents[2] / "src" / "metaflow_extensions" / "netflix_ext"
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(project.root / "old.py", "old.py")
        archive.add(Path(metaflow.__file__).parent, "metaflow", filter=_source)
        archive.add(extension, "metaflow_extensions/netflix_ext", filter=_source)
    kept = next(project.root.glob(f".metaflow/{task}/_meta/*code-package*.json"))
    facts = json.loads(kept.read_text())
    value = json.loads(facts["value"])
    Path(value["location"]).write_bytes(packed.getvalue())
    value.pop("metadata", None)
    kept.write_text(json.dumps({**facts, "value": json.dumps(value)}))


def _source(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if "__pycache__" in item.name else item
