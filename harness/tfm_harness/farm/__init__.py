"""Nights of a farm: they choose a board for each build, prove boards with golden builds, and repeat failed tests."""
