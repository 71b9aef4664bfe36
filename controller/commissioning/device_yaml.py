"""A device file written as YAML in the form that people keep: head first, polling classes, then one line a point."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from controller.plant.yaml_tree import Plain

_PLAIN = re.compile(r"[A-Za-z0-9_./+-](?:[A-Za-z0-9_./+ ()-]*[A-Za-z0-9_./+)-])?")
_LINE = 118


def device_yaml(
    tree: Mapping[str, Plain], comments: Mapping[str, str], intro: Sequence[str] = (), rest: Sequence[str] = ()
) -> str:
    """Return the text of a device file.

    Args:
        tree: the file's keys and values as texts, as `yaml_tree.plain` gives them.
        comments: what is said behind single points, by signal.
        intro: comment lines before everything.
        rest: comment lines below the points: what could not be bound, ready to be.
    """
    lines = [f"# {line}".rstrip() for line in intro]
    for key, value in tree.items():
        if key == "points":
            continue
        if key in {"address", "sunspec", "control", "repeat", "blocks", "setup"}:
            lines.append("")
        lines += _entry(key, value)
    points = tree.get("points", {})
    assert isinstance(points, dict), "a device's points are keys"
    lines += ["", "points:", *_points(points, comments)]
    lines += ["", *(f"  # {line}".rstrip() for line in rest)] if rest else []
    return "\n".join(lines) + "\n"


def scalar(text: str) -> str:
    """Return a text as YAML: plain where it can stand so, else in double quotes."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def flow(value: Plain) -> str:
    """Return a value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    return scalar(value)


def _entry(key: str, value: Plain) -> Iterator[str]:
    line = f"{scalar(key)}: {flow(value)}"
    if isinstance(value, str) or (len(line) <= _LINE and key not in {"blocks", "repeat", "setup", "notes"}):
        yield line
        return
    yield f"{key}:"
    if isinstance(value, dict):
        yield from (f"  {scalar(k)}: {flow(v)}" for k, v in value.items())
    else:
        yield from (f"  - {flow(v)}" for v in value)


def _points(points: Mapping[str, Plain], comments: Mapping[str, str]) -> Iterator[str]:
    width = max((len(name) for name in points), default=0) + 1
    for name, value in points.items():
        comment = f"  # {comments[name]}" if comments.get(name) else ""
        line = f"  {f'{name}:':{width}} {flow(value)}"
        if len(line) <= _LINE or not isinstance(value, dict):
            yield line + comment
            continue
        yield f"  {name}:{comment}"
        yield from (f"    {scalar(k)}: {flow(v)}" for k, v in value.items())
