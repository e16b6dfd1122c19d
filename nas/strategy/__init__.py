"""What is worth training: the models of accuracy and cost, what a training is expected to add, and halving. Pure.

Imports `records`. NumPy and SciPy live here, Optuna in `optuna_sampler`, which offers the proposals to any study.
"""
