"""Control: sequences, modes, set-point arbitration, limits with reasons, and power sharing. Pure."""
