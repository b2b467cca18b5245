"""Where daemons run: the interface that a place has, and the places; `places` says which is for whom.

`local`, `ssh`, `container` and `memory` do not know each other; `remote` is what those have in common that
a shell leads to. May import `sandbox`, and what it may import.
"""
