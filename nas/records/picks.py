"""What `--pick` takes, by name: light, so that `--help` is answered at once. Its meaning is in `selection.py`."""

PICKS = (
    "knee", "accuracy", "within=P%", "max-flops=X", "max-params=X", "max-memory=MB", "max-latency=MS", "trial=N",
)  # fmt: skip
