"""How a model is trained and judged: data, recipe, training loop, checkpoints, bundles, full training."""
