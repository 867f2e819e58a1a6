"""The resources that proxies share: classes of proxies, their outbound resources, and layers for labels."""
