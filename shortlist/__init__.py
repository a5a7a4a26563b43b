"""Shortlist: a shop's purchases in, a short personal list of products for every customer out."""

__version__ = "0.1.0"
