"""Shapes that cross a border: input tables, S3 keys, arrays, state payloads, stored records. Spelled here once."""
