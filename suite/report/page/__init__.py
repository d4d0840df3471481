"""The page ``reports/index.html``: one file without anything fetched from elsewhere."""
