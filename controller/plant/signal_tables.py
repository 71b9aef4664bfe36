"""The signals that a device file may bind, as a table for people who write one: from the vocabulary itself."""

from __future__ import annotations

from controller.plant.signals import SIGNALS, Signal, SignalForm


def signal_table() -> str:
    """Return every signal with its unit or words, and its meaning, as a Markdown table."""
    rows = [
        f"| `{signal.name}` | {'written' if signal.command else 'read'} | {_takes(signal)} | {signal.description} |"
        for signal in SIGNALS.values()
    ]
    return "\n".join(["| signal | | takes | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _takes(signal: Signal) -> str:
    if signal.codes is not None:
        words = ", ".join(f"`{code.name.lower()}`" for code in signal.codes)
        return f"{'bits' if signal.form is SignalForm.BITS else 'one'} of {words}"
    return signal.unit or {SignalForm.BOOL: "yes or no"}.get(signal.form, signal.form.value)
