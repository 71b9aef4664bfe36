"""What the names of a meter's list mean: which of its hundred values is the one of the whole plant.

Rule: a value of one phase, of a demand period, a tariff, a harmonic or an extreme is not bound; of the voltages only
those between lines are; an energy is bound where its direction is said from the grid's side (`import`, `into load`),
never where it depends on how the meter is wired (`forward`, `IN`). Among rows that mean the same, a mean or
a sum goes before one pair of lines. What is left out stays in the file as a comment.
"""

from __future__ import annotations

import re

_OTHER = re.compile(
    r"\bd(e?mand|md)s?\b|\bthd\b|harmonic|distortion|unbalanc|imbalanc|\bangle\b|\b(max|min)(imum|ima)?\b|\bpeak\b"
    r"|\bpartial\b|\bneutral current|\btariff\b|\bresidual|\bfundamental\b|\brating\b|\bratio\b"
)
"""Values that are derived, or of something else."""
_PHASE_OF_A_LETTER = re.compile(r"\b[uvip](?=l ?[123]\b)")
"""`VL1` is the L1 of V."""
_PAIR_OF_LINES = re.compile(
    r"\bl ?[123] (to )?l ?[123]\b|\b(line|phase) ?[123] to (line|phase) ?[123]\b|\b[uv]?(ab|bc|ca)\b|\b[abc] [abc]\b"
    r"|\b[uv] ?(12|23|31)\b"
)
_TO_NEUTRAL = re.compile(
    r"\bl ?n\b|\bl ?[123] ?n\b|neutral|\b[abc] ?n\b|\b(phase|simple) voltage|\buln\b|\b[uv] ?[123abc]\b|\bl ?[123]\b"
)
_OF_A_PHASE = re.compile(r"\b(phase|line) ?(l ?)?[123abc]\b|\bl ?[123]\b|\b[ip] ?[123abc]\b|\b[abc]$")
_OF_ALL = re.compile(
    r"\b(avg|average|mean|sys|system|total|tot|sum|sigma|gesamt|mittel\w*|3 ?phase|three phase)\b|\bpsum\b"
)
_MEANS = (
    (r"(into|to) (the )?load|\bimport|\bimp\b|purchas|bought|incoming|consum|bezug|from (the )?grid", "energy_in"),
    (
        r"out of (the )?load|\bexport|\bexp\b|\bsold\b|fed in|feed in|outgoing|lieferung|einspeis|to (the )?grid",
        "energy_out",
    ),
)
_ENERGY = re.compile(
    r"energy|\b[km]? ?wh\b|wirkarbeit|wirkenergie|active (import|export)|(import|export) (active|real)"
)
_REACTIVE_ENERGY = re.compile(r"reactive (energy|import|export)|varh|var h|apparent energy|vah\b|blindarbeit")
_QUANTITIES = (
    (r"power factor|\bpf\b|cos ?phi|leistungsfaktor", "power_factor"),
    (r"reactive p|\bk?vars?\b|\bvar\b|\bv ar\b|blindleistung", "reactive_power"),
    (r"apparent p|volt ?amps|\bk ?va\b|\bva\b|scheinleistung", "apparent_power"),
    (r"active p|real power|system power|total power|wirkleistung|^p( total| sum)?$|\bk ?w (sys|tot|total|sum)\b",
     "active_power"),
    (r"breaker|switch (state|position)", "breaker"),
    (r"freq|\bhz\b", "frequency"),
    (r"volt|\bv (l|ll)\b|spannung|\bv l l\b|\bu ?ll\b|\bu ?(12|23|31|ab|bc|ca)\b", "voltage"),
    (r"curr|\bamps?\b|strom", "current"),
)  # fmt: skip
_WHOLE = ("power_factor", "reactive_power", "apparent_power", "active_power")


def meter_signal(folded: str) -> tuple[str, int] | None:
    """Return the signal (without `meter.`) that a folded name means, and its rank (0 goes first); None for none."""
    folded = _PHASE_OF_A_LETTER.sub("", folded)
    if _REACTIVE_ENERGY.search(folded) or _OTHER.search(folded):
        return None
    if _ENERGY.search(folded):
        found = {signal for pattern, signal in _MEANS if re.search(pattern, folded)}
        return (found.pop(), 0) if len(found) == 1 and not _OF_A_PHASE.search(folded) else None
    signal = next((name for pattern, name in _QUANTITIES if re.search(pattern, folded)), None)
    if signal is None:
        return None
    whole = bool(_OF_ALL.search(folded))
    if signal == "voltage":
        return _voltage(folded, whole=whole)
    if signal == "current":
        return (signal, 0) if whole and not _OF_A_PHASE.search(folded) else _unspecific(signal, folded)
    if signal in _WHOLE and not whole:
        return _unspecific(signal, folded)
    return signal, 0


def _voltage(folded: str, *, whole: bool) -> tuple[str, int] | None:
    """A voltage between lines: of all pairs first, of one pair where there is no other."""
    if _PAIR_OF_LINES.search(folded):
        return "voltage", 1
    if _TO_NEUTRAL.search(folded) or _OF_A_PHASE.search(folded):
        return None
    return "voltage", 0 if whole or re.search(r"line to line|\bl ?l\b|line voltage", folded) else 2


def _unspecific(signal: str, folded: str) -> tuple[str, int] | None:
    """What names no phase is of the whole; of a list of phases it is the last to be taken."""
    return None if _OF_A_PHASE.search(folded) else (signal, 1)
