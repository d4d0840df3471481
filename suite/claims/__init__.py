"""Claims: every number the paper published, one `Claim` each, with its source, its doubts and checks of the numbers.

Import from `suite.claims.claim`, `suite.claims.loader` (``load_claims``) and `suite.claims.consistency`.
"""
