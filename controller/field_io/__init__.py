"""The south side: Modbus transports, the polling plan, wireless gateways, and writes with verification."""
