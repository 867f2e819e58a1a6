"""The filters of connections and requests. Each is one module in `http/` or `network/`."""
