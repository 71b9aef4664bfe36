"""Alarms: the ISA-18.2 life cycle of every alarm of the plant, as a pure state machine over condition bits."""
