"""The demonstration: a year of real grocery purchases through the whole system on one computer."""
