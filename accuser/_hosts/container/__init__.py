"""Containers as hosts, by podman or docker: a transport for `remote`, and what it leads to.

May import `_hosts.remote` and what that may import; none of `local`, `ssh` and `memory`.
"""
