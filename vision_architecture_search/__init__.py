"""What was found, from Python: the face of the project."""
