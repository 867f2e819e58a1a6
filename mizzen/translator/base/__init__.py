"""What every room of the translator needs: names of clusters, destinations, packing, remembering."""
