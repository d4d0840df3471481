"""Latency: one core, one thread, fp32, with the rules as data."""
