"""Detectors: an architecture as the backbone of torchvision's detection models, trained on images in COCO's format.

Imports `trainers.full`, `trainers.bundle`, `trainers.data` and the modules of `trainers` itself.
"""
