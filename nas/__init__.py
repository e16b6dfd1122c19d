"""The search: proposals, rungs, the ledger, and their adapters to Ray Tune, Optuna, MLflow and Hydra."""
