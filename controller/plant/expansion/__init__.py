"""From axes, ranges and exceptions to every single piece of equipment, device and setting."""
