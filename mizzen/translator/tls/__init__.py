"""TLS towards clients and towards endpoints, and the secrets that it asks for."""
