"""Trials on Ray: the driver's adapters to Ray Tune, and what a worker does.

Imports `records`, `settings`, `ledger`, `engine`, and the checks of nodes in `cluster`. Ray and torch live here.
"""
