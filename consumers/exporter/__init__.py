"""The exporter: how far behind the workers are, seen from outside, so also while none lives."""
