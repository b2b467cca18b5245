"""Another machine as a host, over one connection of OpenSSH: a transport for `remote`.

May import `_hosts.remote` and what that may import; neither `local` nor `memory`.
"""
