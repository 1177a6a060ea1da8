"""Recipes: one flat file per paper and data set, with the rows of its ablations as named variants. No torch."""
