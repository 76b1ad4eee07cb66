"""How quick it is, as ratios within one run: `make bench`."""
