"""What control hands on from a scan: the result that is published, and the conditions that alarm."""
