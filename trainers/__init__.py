"""How a model is trained and evaluated: data, recipe, training loop, checkpoints, bundles, full training."""
