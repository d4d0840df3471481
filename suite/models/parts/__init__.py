"""What several graphs of prior art share: trunks, pyramids, seeded weights, selection of detections."""
