"""How a search runs on many machines: launch files for a Ray cluster, and what a node needs."""
