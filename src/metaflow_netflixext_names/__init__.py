"""Conda packages whose Python distribution has another name on PyPI; where names agree there is no entry.

Only for records without ``purls``: those that conda-forge made in the last years say it themselves. The table lies
outside the tree that Metaflow ships to tasks, since only resolving needs it.
"""

from __future__ import annotations

from collections.abc import Mapping

PYPI_NAMES: Mapping[str, str] = {
    "airflow": "apache-airflow",
    "brotli-python": "brotli",
    "dask-core": "dask",
    "docker-py": "docker",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "nbconvert-core": "nbconvert",
    "opencv": "opencv-python",
    "py-lief": "lief",
    "py-opencv": "opencv-python",
    "py-xgboost": "xgboost",
    "pyarrow-core": "pyarrow",
    "pyqt": "pyqt5",
    "pytables": "tables",
    "python-blosc": "blosc",
    "python-build": "build",
    "python-duckdb": "duckdb",
    "python-fastjsonschema": "fastjsonschema",
    "python-flatbuffers": "flatbuffers",
    "python-graphviz": "graphviz",
    "python-igraph": "igraph",
    "python-kaleido": "kaleido",
    "python-kubernetes": "kubernetes",
    "python-levenshtein": "levenshtein",
    "python-lmdb": "lmdb",
    "python-tzdata": "tzdata",
    "python-xxhash": "xxhash",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "ray-core": "ray",
    "ray-default": "ray",
    "sentencepiece-python": "sentencepiece",
    "tensorflow-base": "tensorflow",
    "uvicorn-standard": "uvicorn",
}
