"""Execute the step of a past task once more, and compare what it leaves with what was recorded.

``python -m metaflow_debug.execute DESCRIPTION ANSWER``: the answer is JSON. Imports on Python 3.7 (step side).
"""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import traceback
from typing import Any, Callable

from .described import task, use
from .opened import open_task
from .stores import Recorded, Stores

_SHOWN = 200


def main() -> None:
    """Execute what the first argument describes, and write what came of it to the file of the second."""
    use(sys.argv[1])
    flow, inputs, _ = open_task()
    went = []  # type: list[str]
    flow.next = lambda *targets, **_: went.extend(getattr(target, "__name__", "") for target in targets)
    failed = None
    step = getattr(flow, task["step"])
    try:
        step() if inputs is None else step(inputs)
    except Exception:
        failed = traceback.format_exc()
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump({"traceback": failed, "next": went, "artifacts": compared(flow)}, file)


def compared(flow: Any) -> dict[str, Any]:
    """Return how the artifacts of *flow* differ, by content, from those that the task has recorded."""
    recorded = Stores().recorded(task["task"], unfinished=True)
    own = {name for name in vars(flow) if name not in flow._EPHEMERAL}
    now = own | {name for name, _ in flow._datastore.items()}
    skip = {"name", "next"} | {
        name for name in dir(type(flow)) if isinstance(getattr(type(flow), name, None), property)
    }
    found = {"same": [], "changed": {}, "missing": [], "new": {}}  # type: dict[str, Any]
    for name in sorted(name for name in (now | set(recorded)) - skip if not name.startswith("_")):
        if name not in now:
            found["missing"].append(name)
        elif name not in recorded:
            found["new"][name] = _shown(getattr, flow, name)
        elif _equal(flow, name, recorded):
            found["same"].append(name)
        else:
            found["changed"][name] = [_shown(recorded.__getitem__, name), _shown(getattr, flow, name)]
    return found


def _equal(flow: Any, name: str, recorded: Recorded) -> bool:
    key = recorded._objects[name]
    if name not in vars(flow):
        return bool(flow._datastore._objects[name] == key)
    value = vars(flow)[name]
    try:
        data = pickle.dumps(value, protocol=4)
        if hashlib.sha1(data).hexdigest() == key:  # noqa: S324 - the datastore's own
            return True
        before = recorded[name]
        # Once through pickle on both sides: which parts are one object depends on the value alone then.
        again = pickle.loads(data)  # noqa: S301 - just made
        return pickle.dumps(again, protocol=4) == pickle.dumps(before, protocol=4) or bool(before == value)
    except Exception:  # it cannot be read, or compared: nobody can tell that it is the same
        return False


def _shown(get: Callable[..., Any], *words: Any) -> str:
    try:
        text = repr(get(*words))
    except Exception as error:
        text = f"<{type(error).__name__}: {error}>"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


if __name__ == "__main__":
    main()
