"""Containers as hosts, by podman or docker: a transport for `remote`, and what it leads to.

May import `_hosts.remote`, `disk`, and what they may import; none of `local`, `ssh` and `memory`.
"""
