"""Shortlist: a shop's purchases in, a short personal list of products for every customer out."""
