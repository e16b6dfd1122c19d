"""The report of a search: an interactive page, pictures and tables.

Imports `records`. Plotly and Matplotlib live here, Optuna's importances in `importance`.
"""
