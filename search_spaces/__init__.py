"""What can be built: architectures, their spaces, their cost, and the modules they are made of."""
