"""What every package of the translator needs: names of clusters, destinations, packing, the memo."""
