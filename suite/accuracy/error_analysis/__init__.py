"""Why an AP is what it is: every error of a results file by its kind, and the AP that each kind costs."""
