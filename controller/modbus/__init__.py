"""Bytes <-> arrays, pure: Modbus frames and PDUs, register codecs, SunSpec models and compiled device maps."""
