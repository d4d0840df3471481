"""How the held-out videos are scored; needs no torch, so that the report can name the settings."""

KEY_FRAME_INTERVALS = (1, 3, 6)
VIDEO_SETTINGS = (*((interval, True) for interval in KEY_FRAME_INTERVALS), (1, False))
"""(kernel-reuse length T, association), in the order they are scored."""
