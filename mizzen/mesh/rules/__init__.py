"""Rules that hold for services: VirtualServices, DestinationRules, Gateways, with names resolved."""
