"""Records: measured numbers with proof of how."""
