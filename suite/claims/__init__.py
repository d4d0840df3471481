"""Claims: every number the paper published, one `Claim` each, with its source, its doubts and checks of the numbers."""
