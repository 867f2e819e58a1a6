"""Route configurations: of sidecars and gateways, from virtual hosts down to a route's action."""
