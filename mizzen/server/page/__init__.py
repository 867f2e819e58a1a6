"""The page for people at the admin address: the mesh, its proxies, what is refused, what changed lately.

Everything is written on the server and is complete without JavaScript; the script only keeps it up to date.
"""
