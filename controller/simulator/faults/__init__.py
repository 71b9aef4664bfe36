"""The fault menu: commands, targets and what they do to the simulated devices."""
