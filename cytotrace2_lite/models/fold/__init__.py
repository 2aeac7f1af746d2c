"""From the PyTorch members of an ensemble to one model file."""
