"""The north side: OPC UA server, Modbus server and further outstations, all from the one point list."""
