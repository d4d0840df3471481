"""What leaves the suite: a checkpoint in every format, published weights, the page that runs in a browser."""
