"""Masks on pictures: of detections, of tracks through a video, and the sheets they are put together on."""
