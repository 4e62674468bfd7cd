"""The environments that resolving and creating are measured with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metaflow_extensions.netflix_ext.engine.ask import Ask, ask_of, combine
from metaflow_extensions.netflix_ext.engine.request import Request, Surroundings, request_for
from metaflow_extensions.netflix_ext.host.settings import Settings

ARCH = "linux-64"


@dataclass(frozen=True)
class Case:
    """What one step asks for, by decorator."""

    words: tuple[tuple[str, dict[str, object]], ...]

    @property
    def ask(self) -> Ask:
        """The words merged."""
        return combine(ask_of(name, attributes) for name, attributes in self.words)

    def request(self, settings: Settings) -> Request:
        """Return what is resolved."""
        return request_for(self.ask, surroundings(settings), arch=ARCH)


CASES = {
    "pandas": Case((("conda", {"libraries": {"pandas": ""}, "python": "3.11"}),)),
    "scikit-learn": Case((("conda", {"libraries": {"scikit-learn": ""}, "python": "3.10"}),)),
    "plain": Case((("conda", {"python": "3.11"}),)),
    "wheels": Case((("pypi", {"packages": {"pandas": ""}, "python": "3.11"}),)),
}


def surroundings(settings: Settings) -> Surroundings:
    """Return what holds for all."""
    return Surroundings(
        python="3.11.*",
        channels=settings.channels,
        index=settings.index,
        needs={"requests": ">=2.21.0"},
        interpreter=settings.interpreter,
    )


def wheels(count: int) -> list[dict[str, str]]:
    """Return the PyPI packages of *count* environments that differ a little."""
    kinds = ({"pandas": ""}, {"boto3": ""}, {"click": "", "itsdangerous": ""})
    return [{**kinds[number % len(kinds)], "idna": f">=2.{number}"} for number in range(count)]


def many(settings: Settings, count: int = 50) -> list[Request]:
    """Return *count* different requests of the size of the first case."""
    first = CASES["pandas"].request(settings)
    return [
        replace(
            first, spec=replace(first.spec, conda=(*first.spec.conda, replace(first.spec.conda[0], build=f"n{number}")))
        )
        for number in range(count)
    ]
