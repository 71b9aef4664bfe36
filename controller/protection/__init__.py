"""Limits, trips, interlocks and permissives from raw measurements only, over all racks at once."""
