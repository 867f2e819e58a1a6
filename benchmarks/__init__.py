"""What things cost: `make bench`. Every promise is a ratio of two measurements of one run."""
