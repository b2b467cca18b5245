"""Hashes, keys and signatures; headers and operations in binary and in JSON."""
