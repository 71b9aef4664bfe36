"""What may flow now, and why not more: POI, converters, DC buses, racks."""
