"""Why an AP is what it is: every error of a results file by its kind, and the AP that each kind costs.

The kinds of images are those of TIDE (Bolya et al., ECCV 2020) on mask IoU; the kinds of videos extend them to tracks.
`kinds` defines them, `judging` finds them, `ladder` prices them, and `analysis` puts the answer together.
"""
