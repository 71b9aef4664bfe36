"""Engineering units as OPC UA wants them: UNECE Recommendation 20 codes (OPC 10000-8, 5.6.4.3)."""

from __future__ import annotations

from typing import cast

from asyncua import ua

from controller.scada.opcua.value_types import words

_UNECE = {
    "MW": ("MAW", "megawatt"),
    "MVAr": ("MAR", "megavar"),
    "MVA": ("MVA", "megavolt-ampere"),
    "MWh": ("MWH", "megawatt hour"),
    "kV": ("KVT", "kilovolt"),
    "Hz": ("HTZ", "hertz"),
    "%": ("P1", "percent"),
    "kW": ("KWT", "kilowatt"),
    "kvar": ("KVR", "kilovar"),
    "kWh": ("KWH", "kilowatt hour"),
    "A": ("AMP", "ampere"),
    "V": ("VLT", "volt"),
    "degC": ("CEL", "degree Celsius"),
    "s": ("SEC", "second"),
    "": ("C62", "one"),
    "ohm": ("OHM", "ohm"),
    "Ah": ("AMH", "ampere hour"),
    "d": ("DAY", "day"),
}
_NAMESPACE = "http://www.opcfoundation.org/UA/units/un/cefact"


def engineering_unit(unit: str) -> ua.EUInformation:
    """Return the EUInformation of a face unit; the id is the code's bytes read as a number."""
    code, description = _UNECE[unit]
    return ua.EUInformation(
        NamespaceUri=cast("ua.String", _NAMESPACE),
        UnitId=cast("ua.Int32", int.from_bytes(code.encode(), "big")),
        DisplayName=words({"degC": "°C", "": "1"}.get(unit, unit)),
        Description=words(description),
    )
