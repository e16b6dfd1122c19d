"""The report of a search: an interactive page, pictures and tables.

Imports `records`. Plotly lives here, Matplotlib in `pictures`, Jinja2 in `page`, Optuna's importances in `importance`.
"""
