"""Daemons behind a shell: a keeper and a launcher there, which are shell scripts, whatever the way to them.

The way is a `Transport`; `ssh` and `container` have one each, users write others. May import `_hosts.owner`
and what that may import.
"""
