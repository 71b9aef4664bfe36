"""The process image: every value of the plant as arrays of value, quality and source time."""
