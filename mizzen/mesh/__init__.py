"""The immutable snapshot of a mesh: services, workloads, and the rules that apply to each of them."""
