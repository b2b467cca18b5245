"""What accuser and client share to ask a node: requests, answers read strictly, errors in upstream's words.

May import `_http`, `_mavryk` and the leaves; nothing else of the sandbox.
"""
