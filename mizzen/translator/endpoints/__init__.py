"""The addresses behind each cluster: which are chosen, how near they are, how they are called."""
