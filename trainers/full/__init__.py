"""Training a bundle's network fully: what is to be trained, the training itself, and what the terminal says of it.

Imports `trainers.bundle`, `trainers.data` and the modules of `trainers` itself.
"""
