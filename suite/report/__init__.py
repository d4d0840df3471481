"""Ledger, tables and figures: pure functions of claims and records."""
