"""Protection: limits, trips, interlocks and permissives, from raw measurements and limits only, all racks at once."""
