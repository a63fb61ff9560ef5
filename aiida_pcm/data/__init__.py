"""Nodes: data sets, models and certificates, and how what science computes is packed into nodes and unpacked again."""
