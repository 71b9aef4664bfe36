"""In which coding a text file is that is none in UTF-8: what spreadsheets and editors save unless they are asked.

Rule: a byte-order mark says UTF-16. Letters of western Europe stand one by one between plain ones; Chinese characters
are pairs of high bytes (GB 18030, 2-byte forms of GB 2312), so that nearly all runs of high bytes are of even length.
"""

from __future__ import annotations

import re

from controller.plant.messages import Message, Place, error

UTF_16, GB_18030, CP_1252 = "utf-16", "gb18030", "cp1252"
NAMES = {UTF_16: "UTF-16", GB_18030: "GB 18030 (GBK)", CP_1252: "Windows-1252 (Latin-1)"}
_HIGH = re.compile(rb"[\x80-\xff]+")
_PAIRS_RATIO = 0.9


def coding_of(data: bytes) -> str:
    """Return the coding that a text has which can't be read as UTF-8."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return UTF_16
    runs = _HIGH.findall(data)
    pairs = [run for run in runs if len(run) % 2 == 0 and min(run) >= 0xA1]
    return GB_18030 if runs and len(pairs) >= _PAIRS_RATIO * len(runs) else CP_1252


def no_utf8(file: str, data: bytes, wrong: UnicodeDecodeError) -> Message:
    """Return what is wrong with a file that is text in another coding, at its first byte that can't be read."""
    begin = data.rfind(b"\n", 0, wrong.start) + 1
    column = len(data[begin : wrong.start].decode(errors="replace")) + 1
    place = Place(file, data.count(b"\n", 0, wrong.start) + 1, column)
    hint = f"it looks like {NAMES[coding_of(data)]}: save it anew as UTF-8, in the editor's or spreadsheet's 'save as'"
    return error(place, "the file is not text in UTF-8", "a text file in UTF-8", hint)
