"""The OPC UA face: address space, sessions, trust and values, served by asyncua behind a door of our own."""
