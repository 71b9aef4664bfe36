"""SOC, SOH, SOE, SOP, resistance, imbalance and anomalies, each with bounds; may fail without harm to protection."""
