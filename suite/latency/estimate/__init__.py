"""Milliseconds of an Arm core without the device: counted instructions, modelled cycles, and their error."""
