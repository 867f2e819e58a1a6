"""TLS towards clients and towards endpoints, and the secrets for it."""
