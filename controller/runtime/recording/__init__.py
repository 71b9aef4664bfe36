"""What a run leaves behind bit for bit, and its replay."""
