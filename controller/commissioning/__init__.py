"""Commissioning: what people do with a site before and beside its operation: validate, explain, list points, report."""
