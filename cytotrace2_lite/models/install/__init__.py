"""Install models: official ones from their authors, others from files."""
