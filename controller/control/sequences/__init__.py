"""The sequences of rack, converter and plant as pure steps: a state, what it looks at, and the next state."""
