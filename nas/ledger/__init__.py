"""The only record of a search: an Optuna study in a database, its format, its checksums, and where it is.

Imports `records` and `settings`. Optuna and SQLAlchemy live here.
"""
