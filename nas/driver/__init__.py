"""One search from its command to its conclusion: the process, the terminal and the files around it.

Imports every other room. rich lives here, psutil in `interruption`, torch in `bundle_export`.
"""
