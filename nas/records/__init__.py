"""What a search knows, as plain data: its trials, the front, and what follows from them.

Imports no other room of `nas`. NumPy and SciPy live here, and no other framework: reading a record takes a fraction of
a second.
"""
