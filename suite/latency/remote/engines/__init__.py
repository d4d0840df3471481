"""Engines of the runners, one module each with ``ENGINE``, found by name; each has one C++ source in ``../runners``."""
