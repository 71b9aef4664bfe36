"""A cell type as `cell/v1` YAML text, the way `controller.plant.cell_types` reads it."""

from __future__ import annotations

from controller.plant.cell_types import CellType, Row, Table

PERCENT = '"%"'  # quoted: YAML takes a bare % for a directive


def cell_yaml(cell: CellType) -> str:
    """Return the file's text; reading it back gives the same cell type to four digits."""
    return "\n".join(
        (
            *_head(cell),
            *_limits(cell),
            *_ocv(cell),
            *_impedance(cell),
            *_heat_and_anchors(cell),
            *_sensors(cell),
            *_ageing(cell),
            "",
        )
    )


def _head(cell: CellType) -> tuple[str, ...]:
    return (
        "schema: cell/v1",
        f"name: {cell.name}",
        f"chemistry: {cell.chemistry}",
        f"verified: {str(cell.verified).lower()}",
        f"origin: {_quoted(cell.origin)}",
        f"fit_report: {_quoted(cell.fit_report)}",
        f"capacity: {cell.capacity_ah:.5g} Ah",
        f"coulombic_efficiency: {cell.coulombic_efficiency_ratio * 100:.6g} %",
        f"self_discharge_per_month: {cell.self_discharge_ratio_per_month * 100:.4g} %",
    )


def _limits(cell: CellType) -> tuple[str, ...]:
    limits = cell.limits
    return (
        "limits:",
        f"  voltage_min: {limits.voltage_min_v:.5g} V",
        f"  voltage_max: {limits.voltage_max_v:.5g} V",
        f"  charge_current_max: {limits.charge_current_max_a:.5g} A",
        f"  discharge_current_max: {limits.discharge_current_max_a:.5g} A",
        f"  charge_temperature_min: {limits.charge_temperature_min_degc:g} degC",
        f"  charge_temperature_max: {limits.charge_temperature_max_degc:g} degC",
        f"  discharge_temperature_min: {limits.discharge_temperature_min_degc:g} degC",
        f"  discharge_temperature_max: {limits.discharge_temperature_max_degc:g} degC",
    )


def _ocv(cell: CellType) -> tuple[str, ...]:
    ocv = cell.ocv
    return (
        "ocv: # rows: temperatures, columns: SOC",
        f"  hysteresis_rate: {ocv.hysteresis_per_soc:.4g} 1",
        f"  temperature: {_row(ocv.temperature_degc, 'degC', 1.0)}",
        f"  soc: {_row(ocv.soc_ratio, PERCENT, 100.0)}",
        *_table("  charge", ocv.charge_v, "mV", 1e3),
        *_table("  discharge", ocv.discharge_v, "mV", 1e3),
        f"  entropy: {_row(ocv.entropy_v_per_k, 'mV/K', 1e3)}",
    )


def _impedance(cell: CellType) -> tuple[str, ...]:
    part = cell.impedance
    pairs: list[str] = []
    for tau, table in zip(part.pair_time_constant_s, part.pair_ohm, strict=True):
        pairs += [f"    - time_constant: {tau:g} s", *_table("      resistance", table, "mohm", 1e3)]
    return (
        "impedance: # rows: temperatures, columns: SOC",
        f"  temperature: {_row(part.temperature_degc, 'degC', 1.0)}",
        f"  soc: {_row(part.soc_ratio, PERCENT, 100.0)}",
        *_table("  series", part.series_ohm, "mohm", 1e3),
        "  pairs:",
        *pairs,
        *_table("  error", part.error_v, "mV", 1e3),
        f"  error_span: {part.error_soc_ratio * 100:.4g} %",
    )


def _heat_and_anchors(cell: CellType) -> tuple[str, ...]:
    heat, anchors = cell.heat, cell.anchors
    return (
        "heat:",
        f"  core: {heat.core_j_per_k:.5g} J/K",
        f"  surface: {heat.surface_j_per_k:.5g} J/K",
        f"  core_to_surface: {heat.core_to_surface_k_per_w:.5g} K/W",
        f"  surface_to_ambient: {heat.surface_to_ambient_k_per_w:.5g} K/W",
        "anchors: # between forbidden_low and forbidden_high a rest voltage never resets the SOC",
        f"  full_voltage: {anchors.full_voltage_v:.5g} V",
        f"  full_taper: {anchors.full_taper_a:.4g} A",
        f"  full_sigma: {anchors.full_sigma_ratio * 100:.4g} %",
        f"  low_voltage: {anchors.low_voltage_v:.5g} V",
        f"  forbidden_low: {anchors.forbidden_low_ratio * 100:.4g} %",
        f"  forbidden_high: {anchors.forbidden_high_ratio * 100:.4g} %",
    )


def _sensors(cell: CellType) -> tuple[str, ...]:
    sensors = cell.sensors
    return (
        "sensors: # 1 sigma; a site states its own",
        f"  current_gain: {sensors.current_gain_ratio * 100:.4g} %",
        f"  current_offset: {sensors.current_offset_a:.4g} A",
        f"  current_noise: {sensors.current_noise_a:.4g} A",
        f"  voltage_bias: {sensors.voltage_bias_v * 1e3:.4g} mV",
        f"  voltage_noise: {sensors.voltage_noise_v * 1e3:.4g} mV",
        f"  voltage_step: {sensors.voltage_step_v * 1e3:.4g} mV",
        f"  temperature_bias: {sensors.temperature_bias_k:.4g} K",
    )


def _ageing(cell: CellType) -> tuple[str, ...]:
    prior = cell.ageing
    return (
        "ageing:",
        f"  calendar_fade_per_sqrt_year: {prior.calendar_fade_ratio_per_sqrt_year * 100:.4g} %",
        f"  fade_per_cycle: {prior.cycle_fade_ratio * 100:.4g} %",
        f"  fade_sigma: {prior.fade_sigma_ratio * 100:.4g} %",
        f"  capacity_sigma: {prior.capacity_sigma_ratio * 100:.4g} %",
        f"  resistance_sigma: {prior.resistance_sigma_ratio * 100:.4g} %",
        f"  end_of_life: {prior.end_of_life_ratio * 100:.4g} %",
    )


def _row(values: Row, unit: str, factor: float) -> str:
    numbers = ", ".join(f"{value * factor:.5g}" for value in values)
    return f"{{unit: {unit}, values: [{numbers}]}}"


def _table(key: str, table: Table, unit: str, factor: float) -> tuple[str, ...]:
    pad = " " * (len(key) - len(key.lstrip()) + 4)
    rows = (f"{pad}- [{', '.join(f'{value * factor:.5g}' for value in row)}]" for row in table)
    return (f"{key}:", f"{pad[:-2]}unit: {unit}", f"{pad[:-2]}values:", *rows)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
