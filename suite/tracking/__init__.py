"""What becomes of identities: association between key frames, measured against none and against ground truth."""
