"""What `bess bench` measures: ratios of one run, each beside its goal."""
