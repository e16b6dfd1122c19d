"""MLflow as a view of the ledger, written by one writer.

Imports `records`, `settings`, `ledger`, the style of `reporting` and the rungs of `strategy`. MLflow lives here.
"""
