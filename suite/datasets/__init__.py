"""Datasets: generate, read, pin and verify."""
