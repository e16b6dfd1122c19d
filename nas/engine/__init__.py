"""What is trained next and when a trial has trained enough: asks the strategy, writes the ledger.

Imports `records`, `settings`, `strategy` and `ledger`. No framework lives here.
"""
