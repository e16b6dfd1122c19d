"""What a network is trained on: data sets, their splits, and augmentation.

Imports nothing else of trainers. torch lives here, torchvision in `torchvision_import`, scikit-learn in `memory_sets`.
`config` says what a data set is and needs none of them; nor do `folder_sets` and `first_look`, which say what is there.
"""
