"""Measurements against peers and ablations, run by hand; never part of the tests."""
