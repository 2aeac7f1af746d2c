"""What is found out about a dataset before anything is computed."""
