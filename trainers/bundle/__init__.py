"""What leaves a search: a bundle of architecture, recipe, provenance and weights, its model card, and ONNX.

Imports `trainers.data` and the modules of `trainers` itself. safetensors lives in `files`, ONNX in `onnx_export`.
"""
