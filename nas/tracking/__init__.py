"""MLflow as a view of the ledger, written by one writer.

Imports `records`, `settings`, `ledger`, the rungs of `strategy`, and of `reporting` its style and the name of its page.
MLflow lives here, torch in `model_registry`; `registered_names` and `store_address` do without both.
"""
