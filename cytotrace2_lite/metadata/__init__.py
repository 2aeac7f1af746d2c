"""What is known about cells beside their expression: labels, samples, coordinates."""
