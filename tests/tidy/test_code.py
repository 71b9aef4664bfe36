"""What is counted in code: lengths, names, docstrings, promises."""

from __future__ import annotations

import ast
import re
import warnings

import pytest

from tests.tidy.tree import modules, packages, parsed, text, tracked_files

LONGEST_FUNCTION = 70
LONG_MODULE, LONGEST_MODULE = 500, 600
# Drawers: a stranger cannot tell from the name what is in them.
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "base", "manager", "misc"}
# Joined here, so that this file does not find itself.
PROMISE = re.compile(rf"\b({'TO' + 'DO'}|{'FIX' + 'ME'}|{'X' * 3})\b")


def _length(node: ast.AST) -> int:
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("path", modules("controller", "tests"), ids=str)
def test_no_function_is_longer_than_a_page(path):
    functions = [n for n in ast.walk(parsed(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]

    assert {f.name: _length(f) for f in functions if _length(f) > LONGEST_FUNCTION} == {}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", modules("controller", "tests"), ids=str)
def test_no_module_is_more_than_one_room(path):
    lines = text(path).count("\n")
    if lines > LONG_MODULE:
        warnings.warn(f"{path} has {lines} lines; is it still one room?", stacklevel=1)

    assert lines <= LONGEST_MODULE


def test_no_module_has_the_name_of_a_drawer():
    parts = {part.removesuffix(".py").strip("_"): path for path in modules("controller") for part in path.parts[1:]}

    assert {name: path for name, path in parts.items() if name in BANNED_NAMES} == {}


@pytest.mark.parametrize("room", packages())
def test_every_room_says_in_one_sentence_what_it_is_for(room):
    inits = [path for path in modules("controller") if path.name == "__init__.py" and path.parts[1] == room]

    assert inits, f"controller/{room} has no __init__.py"
    assert [path for path in inits if not ast.get_docstring(parsed(path))] == []


def test_no_promise_is_left_in_the_tree():
    promises = [
        f"{path}:{number}: {line.strip()}"
        for path in tracked_files()
        if path.suffix in {".py", ".yaml", ".yml", ".sh", ".toml", ".md", ".js"}
        for number, line in enumerate(text(path).splitlines(), 1)
        if PROMISE.search(line)
    ]

    assert promises == []
