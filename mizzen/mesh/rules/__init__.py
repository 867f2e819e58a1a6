"""Rules for services: VirtualServices, DestinationRules, Gateways and security
policies, with names resolved."""
