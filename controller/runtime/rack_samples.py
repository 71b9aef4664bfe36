"""What estimation is fed: the measured image as one sample of all racks."""

from __future__ import annotations

import numpy as np

from controller.estimation import RackSample
from controller.image.image import Image
from controller.image.quality import usable
from controller.plant.signals import ContactorState


def rack_sample(image: Image) -> RackSample:
    """Return this scan's sample; what is not usable is marked invalid, never replaced."""
    current, voltage, soc = image["rack.current"], image["rack.voltage"], image["rack.soc"]
    contactor, cells, sensors = image["rack.contactor"], image["cell.voltage"], image["cell.temperature"]
    tripped = image["rack.tripped"]
    return RackSample(
        source_time_ns=current.time_ns,
        valid=usable(current.quality) & usable(voltage.quality),
        current_a=current.value,
        voltage_v=voltage.value,
        soc_bms_ratio=np.where(usable(soc.quality), soc.value, np.nan),
        contactor_open=usable(contactor.quality) & (contactor.value == ContactorState.OPEN),
        bms_alarm_free=usable(tripped.quality) & (tripped.value == 0),
        cell_time_ns=cells.time_ns,
        cell_voltage_v=cells.value,
        cell_valid=usable(cells.quality),
        cell_temperature_degc=sensors.value,
        temperature_valid=usable(sensors.quality),
    )
