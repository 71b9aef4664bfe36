"""What a file must not contain, whatever its schema: secrets, and times that other YAML readers turn into numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from controller.plant.messages import Message, error, warning
from controller.plant.schema.messages import SECRET_NAME, SECRET_WORDS, label_of
from controller.plant.schema.types import IDENTIFIER
from controller.plant.yaml_tree import Document, Text, walk

_TIME = re.compile(r"\d{1,2}:[0-5]\d(:[0-5]\d)?")
_PASSWORD_IN_URL = re.compile(r"\w+://[^/\s:@]+:[^/\s:@]+@")


def check_text(document: Document) -> Iterator[Message]:
    """Yield what stands in a file that should not."""
    for loc, node in walk(document.root):
        if not isinstance(node, Text):
            continue
        key = loc[-1] if loc else ""
        no_name = key == SECRET_NAME and not IDENTIFIER.fullmatch(node.value)
        if no_name or key in SECRET_WORDS or _PASSWORD_IN_URL.search(node.value):
            place, message = replace(node.place, secret=True), f"{label_of(loc)} is a secret written in the file"
            yield error(place, message, "{secret: NAME}", "store it with: bess secret set NAME")
        elif not node.quoted and _TIME.fullmatch(node.value):
            number = _as_number(node.value)
            hint = f"many YAML readers turn {node.value} into the number {number}"
            message = f"{key}: {node.value} is not quoted"
            yield warning(node.place, message, f'a time in quotes, such as "{node.value}"', hint)


def _as_number(text: str) -> int:
    """Return what YAML 1.1 makes of a colon-separated text: a number of base 60."""
    number = 0
    for part in text.split(":"):
        number = number * 60 + int(part)
    return number
