"""Fully trained networks beside each other: what the search promised against what was reached, and the baselines.

Imports `trainers.bundle`, `trainers.data`, and the intervals, the figures and plain data of `trainers` itself.
"""
