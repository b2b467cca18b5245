"""Another machine as a host: a keeper and a launcher there, shell scripts, over one connection of OpenSSH.

May import `_hosts.owner` and what that may import; neither `local` nor `memory`.
"""
