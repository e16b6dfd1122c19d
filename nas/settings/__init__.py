"""What the user asked for: the flags and the YAML, as frozen settings, and where a run lies.

Imports `records`. Hydra and OmegaConf live in `compose`. The command line itself is read in `nas.driver.command_line`,
which opens a ledger to resume.
"""
