"""The Modbus face: a strict server; the flat map, SunSpec for plant and blocks, and the lists that parties bring."""
