"""The body of a step as cells: what a notebook or a script executes piece by piece. Pure, on source text."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .errors import InputError

RETURNED = "StepReturned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The body of a step: its cells, where it lies (lines count from one), and the names of its arguments.

    ``returns`` says that a cell ends the step by raising `RETURNED` where the step has a ``return``.
    """

    first: int
    last: int
    arguments: tuple[str, ...]
    cells: tuple[str, ...]
    returns: bool = False


def methods(source: str) -> dict[str, list[int]]:
    """Return the names of all methods in *source* with the lines of their ``def``.

    Raises InputError where *source* is no Python that this interpreter reads.
    """
    found: dict[str, list[int]] = {}
    for node in ast.walk(_parsed(source)):
        if isinstance(node, ast.ClassDef):
            for item in node.body:
                if isinstance(item, ast.FunctionDef):
                    found.setdefault(item.name, []).append(item.lineno)
    return found


def body(source: str, step: str, *, line: int | None, flow: str = "") -> Body | None:
    """Return the body of the method *step*: that of *flow*, else the one whose ``def`` is on *line*; None without one.

    Cells are split where the code has blank lines at its top level. Raises InputError as `methods` does.
    """
    functions = [
        (node.name == flow, item.lineno == line, item)
        for node in ast.walk(_parsed(source))
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.FunctionDef) and item.name == step
    ]
    if not functions:
        return None
    function = max(functions, key=lambda item: item[:2])[2]
    statements = function.body
    doc = ast.get_docstring(function)
    code = statements[1:] if doc else statements
    assert function.end_lineno is not None
    first = (statements[0].end_lineno or 0) + 1 if doc else _begin(function, source)
    lines = _without_returns(source, function)
    pieces = [] if _on_one_line(function) else _pieces(lines, code, first, function.end_lineno)
    cells = [_dedented(lines, piece, code) for piece in pieces] or _alone(source, code)
    return Body(
        first=first if pieces else function.lineno,
        last=function.end_lineno,
        arguments=tuple(item.arg for item in function.args.args),
        cells=tuple(cell for cell in cells if cell),
        returns=bool(list(_returns(function))),
    )


def _lines(source: str) -> list[str]:
    """Return the lines as Python counts them: a form feed ends none."""
    return source.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _parsed(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f" in line {line}" if line else ""
        raise InputError(
            f"the flow's file cannot be read as Python{where}: {getattr(error, 'msg', error)}",
            "open it with the interpreter that the flow was launched with",
        ) from None


def _on_one_line(function: ast.FunctionDef) -> bool:
    return function.body[-1].end_lineno == function.lineno


def _begin(function: ast.FunctionDef, source: str) -> int:
    """Return the line after the function's head, where comments may stand before its first statement."""
    start = _first_line(function.body[0])
    lines = _lines(source)
    while start - 1 > function.lineno and lines[start - 2].strip()[:1] in ("", "#"):
        start -= 1
    return start


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(item.lineno for item in decorators)])


def _pieces(lines: Sequence[str], code: Sequence[ast.stmt], first: int, last: int) -> list[range]:
    """Return ranges of lines that blank lines at the top level of the body divide."""
    inside = {line for node in code for line in range(_first_line(node), (node.end_lineno or 0) + 1)}
    pieces, begun = [], None
    for line in range(first, last + 2):
        ends = line > last or (not lines[line - 1].strip() and line not in inside)
        if ends and begun is not None:
            pieces.append(range(begun, line))
            begun = None
        elif not ends and begun is None:
            begun = line
    return pieces


def _dedented(lines: Sequence[str], piece: range, code: Sequence[ast.stmt]) -> str:
    """Return the lines of *piece* without the indentation of the body; what lies in a text stays as it is."""
    texts = {line for node in code for item in ast.walk(node) if _is_text(item) for line in _rest(item)}
    margin = code[0].col_offset if code else 0
    found = []
    for number in piece:
        line = lines[number - 1]
        indent = len(line) - len(line.lstrip())
        found.append(line if number in texts else line[min(margin, indent) :])
    return "\n".join(found).rstrip()


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _rest(node: ast.AST) -> range:
    return range(getattr(node, "lineno", 0) + 1, getattr(node, "end_lineno", 0) + 1)


def _alone(source: str, code: Sequence[ast.stmt]) -> list[str]:
    """Return the statements of a body that stands on the line of its head, as one cell."""
    found = [ast.get_source_segment(source, node) or "" for node in code]
    return [
        "\n".join(
            f"raise {RETURNED}" if isinstance(node, ast.Return) else text
            for node, text in zip(code, found, strict=True)
        )
    ]


def _without_returns(source: str, function: ast.FunctionDef) -> list[str]:
    """Return the lines of *source*, the function's own ``return`` replaced by raising: a cell cannot return."""
    lines = [line.encode("utf-8") for line in _lines(source)]
    for node in sorted(_returns(function), key=lambda item: item.lineno, reverse=True):
        row = node.lineno - 1
        start = node.col_offset
        before = lines[row][:start]
        word = len(b"return")
        if node.value is None:
            lines[row] = before + f"raise {RETURNED}".encode() + lines[row][start + word :]
        else:
            end_row, end = (node.end_lineno or 1) - 1, node.end_col_offset or 0
            lines[end_row] = lines[end_row][:end] + b")" + lines[end_row][end:]
            lines[row] = before + f"raise {RETURNED}(".encode() + lines[row][start + word :].lstrip()
    return [line.decode("utf-8") for line in lines]


def _returns(function: ast.FunctionDef) -> Iterator[ast.Return]:
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))
