"""Single cells of a maker's point list -> what our device files say: addresses, tables, types, scales, units, values.

Each function returns the value, or a `Complaint` in the words of the cell. Nothing is guessed: what can be read two
ways is a complaint that says which option decides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

from controller.plant.messages import Complaint, did_you_mean
from controller.plant.units import UNITS

TABLE_OF_FUNCTION = {
    1: "coil",
    2: "discrete",
    3: "holding",
    4: "input",
    5: "coil",
    6: "holding",
    15: "coil",
    16: "holding",
}
TABLE_OF_DIGIT = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
MAX_ADDRESS = 65_535
_OFTEN = 4096
"""Cells of most columns say the same in thousands of rows: what they say is worked out once."""


class AddressStyle(StrEnum):
    """How a list counts its addresses."""

    ZERO_BASED = "zero_based"
    ONE_BASED = "one_based"
    MODICON = "modicon"


@dataclass(frozen=True, slots=True)
class Address:
    """A wire address; `table` where the number says it (Modicon), `last` where a range was written."""

    first: int
    last: int | None = None
    table: str = ""


_NUMBER = r"(?:0x[0-9a-f]+|[0-9a-f]+h|\d+)"
_SPAN = re.compile(rf"\s*({_NUMBER})(?:\s*(?:\.\.+|-|–|~|to|/|,)\s*({_NUMBER}))?\s*", re.IGNORECASE)


def number_of(text: str) -> int | None:
    """Return a whole number written in decimal, `0x1A` or `1Ah`."""
    folded = text.strip().casefold()
    if re.fullmatch(r"\d+", folded):
        return int(folded)
    if re.fullmatch(r"0x[0-9a-f]+", folded):
        return int(folded, 16)
    return int(folded[:-1], 16) if re.fullmatch(r"[0-9a-f]+h", folded) else None


def parse_address(text: str, style: AddressStyle, *, is_hex: bool = False) -> Address | Complaint:
    """Return where something stands on the wire."""
    matched = _SPAN.fullmatch(f"0x{text}" if is_hex and re.fullmatch(r"[0-9a-fA-F]+", text) else text)
    first = number_of(matched[1]) if matched else None
    if matched is None or first is None:
        return Complaint(f"'{text}' is no address", "a number such as 40001, 0x1A, or a range 40001-40002")
    last = number_of(matched[2]) if matched[2] else None
    if last is not None and last < first and len(matched[2]) < len(matched[1]):
        last = number_of(matched[1][: -len(matched[2])] + matched[2])  # 40001-02
    if style is AddressStyle.MODICON:
        return _modicon(text, matched[1], first, last)
    shift = 1 if style is AddressStyle.ONE_BASED else 0
    if not 0 <= first - shift <= MAX_ADDRESS:
        return Complaint(f"there is no register {text}", f"{shift} to {MAX_ADDRESS + shift}")
    return Address(first - shift, None if last is None else last - shift)


def _modicon(text: str, written: str, first: int, last: int | None) -> Address | Complaint:
    table = TABLE_OF_DIGIT.get(written[0]) if len(written) in {5, 6} and written.isdigit() else None
    if table is None:
        return Complaint(f"'{text}' is no Modicon number", "five or six digits: 0xxxx, 1xxxx, 3xxxx or 4xxxx")
    base = int(written[0]) * 10 ** (len(written) - 1) + 1
    if not 0 <= first - base <= MAX_ADDRESS:
        return Complaint(f"there is no register {text}", f"{base} and up")
    return Address(first - base, None if last is None else last - base, table)


@lru_cache(maxsize=_OFTEN)
def parse_table(text: str) -> str | Complaint:
    """Return the register table from a function code or its name; "" if the cell is empty."""
    folded = text.casefold()
    if not folded.strip():
        return ""
    for word, table in (("input reg", "input"), ("holding", "holding"), ("discrete", "discrete"), ("coil", "coil"),
                        ("3x", "input"), ("4x", "holding"), ("1x", "discrete"), ("0x", "coil"), ("input", "input"),
                        ("analog in", "input")):  # fmt: skip
        if word in folded and not re.fullmatch(r"0x0*[0-9a-f]+", folded.strip()):
            return table
    codes = {TABLE_OF_FUNCTION.get(int(code, 16 if code.startswith("0x") else 10)) for code in
             re.findall(r"0x[0-9a-f]+|\d+", folded)}  # fmt: skip
    if len(codes) == 1 and None not in codes:
        return str(codes.pop())
    return Complaint(f"'{text}' is no function code", "1, 2, 3 or 4 (also 3/6/16), coil, discrete, input or holding")


# --------------------------------------------------------------------------------------------------------------- types

_INTEGERS = {"uint": "u", "unsigned": "u", "u": "u", "int": "i", "signed": "i", "s": "i", "sint": "i", "i": "i"}
_NAMES = {
    "word": "u16", "dword": "u32", "lword": "u64", "qword": "u64", "short": "i16", "ushort": "u16", "long": "i32",
    "ulong": "u32", "dint": "i32", "udint": "u32", "integer": "i16", "float": "f32", "real": "f32", "single": "f32",
    "double": "f64", "lreal": "f64", "bool": "bool", "boolean": "bool", "bit": "bool", "ieee754": "f32", "int": "i16",
    "uint": "u16", "unsigned": "u16", "signed": "i16", "unsigned short": "u16", "unsigned int": "u16",
    "signed short": "i16", "unsigned long": "u32", "signed long": "i32", "ieee 754": "f32", "float ieee754": "f32",
    "u word": "u16", "s word": "i16", "u dword": "u32", "s dword": "i32",
}  # fmt: skip
_ORDERS = {"abcd": "high_first", "cdab": "low_first", "abcdefgh": "high_first", "ghefcdab": "low_first"}
_WIDTH = {1: "16", 2: "32", 4: "64"}


@lru_cache(maxsize=_OFTEN)
def parse_order(text: str) -> str | Complaint:
    """Return the order of 16-bit words that a text names; "" if it names none."""
    folded = " ".join(re.sub(r"[^a-z]+", " ", text.casefold()).split())
    for mark, order in _ORDERS.items():
        if mark in folded.split():
            return order
    for swapped in ("badc", "dcba"):
        if swapped in folded.split():
            message = f"the bytes within its registers are swapped ({swapped.upper()})"
            return Complaint(message, "ABCD or CDAB", "set the device to one of them, or leave the point out")
    if re.search(r"low (word )?first|word swap|swapped|little|lsw first|low high|lo hi", folded):
        return "low_first"
    return "high_first" if re.search(r"high (word )?first|big|msw first|high low|hi lo", folded) else ""


_ORDER_IN_WORDS = re.compile(
    r"(low|high|least|most)[- ](?:significant )?(?:word|register)s? (?:comes )?first|(l|m)sw first", re.IGNORECASE
)


def order_in_words(text: str) -> str:
    """Return the word order that a remark states in words: `low word first`; "" if none."""
    found = _ORDER_IN_WORDS.search(text)
    if found is None:
        return ""
    return "low_first" if (found[1] or found[2]).casefold() in {"low", "least", "l"} else "high_first"


@lru_cache(maxsize=_OFTEN)
def parse_type(text: str, length: int | None) -> str | Complaint:
    """Return the register type of a cell such as `UINT16`, `Float32 (CDAB)`, `ASCII`, with the row's length."""
    folded = " ".join(re.sub(r"[^a-z0-9]+", " ", text.casefold()).split())
    folded = " ".join(
        w for w in folded.split() if w not in {*_ORDERS, "badc", "dcba", "be", "le", "big", "little", "endian", "bits"}
    )
    if not folded:
        return Complaint("there is no data type", "such as uint16, int32, float32", "fill in the column")
    if re.match(r"(string|str|ascii|char|utf)", folded):
        given = re.search(r"(\d+)$", folded)
        words = length or (int(given[1]) if given and not folded.startswith("utf") else 0)
        return f"string{words}" if 1 <= words <= 99 else Complaint(f"'{text}' does not say how long it is", "a length")
    if re.match(r"(bitfield|bitmap|bitmask|bits|flags|bf|bit field|bit map|binary)|bit ?(16|32)$", folded):
        return f"bits{_bits_of(folded, length)}"
    if re.match(r"(enum|enumeration)", folded):
        return f"enum{_bits_of(folded, length)}"
    return _number_type(text, folded, length)


def _number_type(text: str, folded: str, length: int | None) -> str | Complaint:
    matched = re.fullmatch(r"([a-z]+?) ?(?:int|integer)? ?_?(16|32|64)(?: ?bit)?", folded)
    if matched and matched[1] in _INTEGERS:
        return f"{_INTEGERS[matched[1]]}{matched[2]}"
    if re.fullmatch(r"(float|real|f|ieee ?754 ?(float)?) ?(32|64)", folded):
        return f"f{folded[-2:]}"
    known = _NAMES.get(folded)
    if known is None:
        hint = did_you_mean(folded, _NAMES) or "or '-' in a column 'signal', to leave the row out"
        return Complaint(f"unknown data type '{text}'", "such as uint16, int32, float32", hint)
    if known[0] in "ui" and folded in {"int", "uint", "unsigned", "signed", "integer"} and length in _WIDTH:
        return known[0] + _WIDTH[length]
    return known


def _bits_of(folded: str, length: int | None) -> str:
    return "32" if "32" in folded or ("16" not in folded and length == 2) else "16"


# ------------------------------------------------------------------------------------------------------- scale and unit

_UNIT_NAMES = {
    "°c": "degC", "℃": "degC", "c": "degC", "deg c": "degC", "celsius": "degC", "degrees celsius": "degC", "ºc": "degC",
    "°f": "degF", "ω": "ohm", "kω": "kohm", "mω": "Mohm", "percent": "%", "volt": "V", "volts": "V", "amp": "A",
    "amps": "A", "ampere": "A", "watt": "W", "watts": "W", "kvar": "kvar", "mvar": "Mvar", "var": "var", "va": "VA",
    "kva": "kVA", "mva": "MVA", "hz": "Hz", "kwh": "kWh", "mwh": "MWh", "wh": "Wh", "kw": "kW", "sec": "s", "secs": "s",
    "second": "s", "seconds": "s", "minutes": "min", "vdc": "V", "vac": "V", "v dc": "V", "v ac": "V", "adc": "A",
    "aac": "A", "a dc": "A", "a ac": "A", "v": "V", "a": "A", "kv": "kV", "kohm": "kohm", "kohms": "kohm",
    "ohms": "ohm",
}  # fmt: skip
_NOTHING = {"", "-", "--", "–", "—", "n/a", "na", "none", "/", "\\"}


def is_nothing(text: str) -> bool:
    """Whether a cell says in words that it says nothing."""
    return text.strip().casefold() in _NOTHING


@lru_cache(maxsize=_OFTEN)
def parse_number(text: str) -> Fraction | Complaint:
    """Return a number as people write scales: `0.1`, `0,1`, `1/10`, `/10`, `x0.1`, `10^-1`, `1E-3`, `*0.01`."""
    folded = text.strip().casefold().replace("×", "x").replace("\N{MINUS SIGN}", "-").replace(" ", "")
    folded = folded.removeprefix("x").removeprefix("*")
    if matched := re.fullmatch(r"/(\d+)", folded):
        return Fraction(1, int(matched[1])) if int(matched[1]) else _no_number(text)
    if matched := re.fullmatch(r"(\d+)/(\d+)", folded):
        return Fraction(int(matched[1]), int(matched[2])) if int(matched[2]) else _no_number(text)
    if matched := re.fullmatch(r"10(?:\^|\*\*)\(?([+-]?\d{1,2})\)?", folded):
        return Fraction(10) ** int(matched[1])
    if re.fullmatch(r"[+-]?\d+,\d+", folded):
        folded = folded.replace(",", ".")
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?", folded):
        return Fraction(folded)
    return _no_number(text)


def _no_number(text: str) -> Complaint:
    return Complaint(f"'{text}' is no number", "such as 0.1, 0,1, 1/10, /10 or 10^-1")


@lru_cache(maxsize=_OFTEN)
def parse_unit_cell(text: str) -> tuple[str, Fraction] | Complaint:
    """Return our spelling of a unit and the scale that stands before it (`0.1 V`, `10 mV`); "" if there is none."""
    if is_nothing(text):
        return "", Fraction(1)
    if parted := re.fullmatch(r"\s*(\D*?)\s*/\s*(1(?:[.,]0+)?|10+)\s*", text):  # V/100: hundredths of a volt
        found = parse_unit_cell(parted[1])
        return found if isinstance(found, Complaint) else (found[0], found[1] / Fraction(parted[2].replace(",", ".")))
    matched = re.fullmatch(r"\s*((?:\d+(?:[.,]\d+)?|\d+/\d+)\s*)?[*x×]?\s*(\D.*?)?\s*", text)
    scale = parse_number(matched[1]) if matched and matched[1] else Fraction(1)
    name = (matched[2] or "") if matched else text
    if isinstance(scale, Complaint):
        return scale
    unit = name if name in UNITS else _UNIT_NAMES.get(name.casefold(), "")
    if name and not unit:
        return Complaint(f"unknown unit '{name}'", "a unit such as V, mV, A, kW, degC, %", did_you_mean(name, UNITS))
    return unit, scale


_CODING_IN_WORDS = (
    re.compile(r"[(\[ ](?P<scale>\d+(?:[.,]\d+)?) ?(?P<unit>[A-Za-zµ°Ω%]{1,5})[)\]]?\s*$"),
    re.compile(r"\bweight\s*[:=]?\s*(?P<unit>[A-Za-z]+)\s*[*x×]\s*(?P<gain>\d+)"),
)


def coding_in_words(text: str) -> tuple[str, Fraction]:
    """Return unit and scale that a name or a note ends with: `Voltage 0.1V`, `Value weight: Watt*10`; "" if none."""
    for pattern in _CODING_IN_WORDS:
        for matched in pattern.finditer(text):
            parts = matched.groupdict()
            unit = parse_unit_cell("pu" if parts["unit"].casefold() == "pf" else parts["unit"])
            scale = parse_number(parts["scale"]) if parts.get("scale") else Fraction(1, int(parts.get("gain") or 1))
            if not isinstance(unit, Complaint) and unit[0] and not isinstance(scale, Complaint) and scale:
                return unit[0], unit[1] * scale
    return "", Fraction(1)


def decimal(value: Fraction) -> str:
    """Return a scale as the shortest decimal that is it, or that a float holds."""
    return str(int(value)) if value.denominator == 1 else repr(float(value))


# --------------------------------------------------------------------------------------------------------------- values

_PAIR = re.compile(
    r"(?:bit\s*|d)?(0x[0-9a-f]+|\d+)\s*(?:[:=)]|->|→|\s[-–]|[-–]\s)\s*([^;\n|,]*(?:,(?!\s*(?:bit\s*)?(?:0x[0-9a-f]+|\d+)\s*[:=–-])[^;\n|,]*)*)",
    re.IGNORECASE,
)


_NEXT = re.compile(r"(?:\s*/\s*|,?(?<!bit)\s+)(?=(?:0x[0-9a-f]+|\d+)\s*[=:])", re.IGNORECASE)
"""Where the next pair begins without a comma: `0=off / 1=on`, `0: off 1: on`."""


_BIT = re.compile(
    r"(?<![\w.])(?:bit\s*|d(?=\d+\s*[:=]))(\d{1,2})\b(?!\s*(?:-|–|\.\.+|to)\s*\d)\s*(?:[:=)]|->|→|[-–])?\s*",
    re.IGNORECASE,
)


def _with_bits_apart(text: str) -> str:
    """Return `bit0 over voltage bit1 under voltage`, `D3 = fault, D4 = fan` with a mark before each bit.

    One bit alone may be named in a sentence (`see bit 3 of the next register`).
    """
    return _BIT.sub(r"; \1: ", text) if len(_BIT.findall(text)) > 1 else text


@lru_cache(maxsize=_OFTEN)
def parse_pairs(text: str) -> tuple[Mapping[int, str], str]:
    """Return raw values (or bits) with their meaning, and what of the text could not be read so."""
    text = _NEXT.sub("; ", _with_bits_apart(text.strip().replace("\N{FULLWIDTH COLON}", ":")))
    pairs = {int(raw, 0) if raw.startswith("0x") else int(raw): name.strip() for raw, name in _PAIR.findall(text)}
    left = _PAIR.sub("", text).strip(" ;,|\n\t.")
    return pairs, left
