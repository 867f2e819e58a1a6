"""Route configurations of sidecars and gateways: virtual hosts, routes, and their matches and actions."""
