"""Timing on a device that is not this machine: a phone over adb, a Linux board over ssh, through one interface."""
