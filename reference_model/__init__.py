"""MobileInst, read beside the paper: one concept a file, and nothing here knows the suite that measures it."""
