"""The web page at the admin address: the mesh, its proxies, what is refused, and the latest changes.

The server renders everything, so the page is complete without JavaScript; the script only keeps it up to
date.
"""
