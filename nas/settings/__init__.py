"""What the user asked for: the command line and the YAML, read into frozen settings, and where a run lies.

Imports `records`. Hydra and OmegaConf live in `compose`.
"""
