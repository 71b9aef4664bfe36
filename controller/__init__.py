"""A supervisory controller for grid-scale battery plants: reads every rack, protects, shares power, answers SCADA."""

__version__ = "0.1.0"
