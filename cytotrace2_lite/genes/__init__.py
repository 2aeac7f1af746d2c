"""From the names of genes to the features of the model."""
