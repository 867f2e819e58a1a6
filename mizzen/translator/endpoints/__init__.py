"""The endpoints of each cluster: which it gets, in which order of locality, and with which TLS."""
