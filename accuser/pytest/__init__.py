"""The pytest plugin: daemons as fixtures, and failures that say what the daemons did.

It is loaded where the package is installed, and imports nothing of the engine before a test
needs it. `OpenNode`, `OpenAccuser`, `OpenBaker` and `OpenClient` are for annotations in tests.

May import everything but `commands`.
"""

# The modules; imports go one way only.
#
#   _facts     a recording -> what its daemons did (pure)   _text     what reports say of it
#   _choice    which executables                            _options  the options, the marker
#   _bundle    the files of one test                        _stand    the daemons of one test
#   _fixtures  what tests ask for                           _failure  what a failed test's report gets
#   _story     what the test did, into its recording         _frames   tracebacks without the engine
#   _prompt    the prompt of --pdb, while daemons run        _leases   places on hosts, between processes
#   _pool      tests on a pool of hosts
#   _types     their types, for annotations                 _hooks    what pytest calls
#   _lines     what pytest's own lines have no room for   _imports imports beside pytest's rewriting

# ruff: noqa: E402 - what is imported before `begin` is rewritten
from . import _imports

_imports.begin()

from ._hooks import pytest_addoption as pytest_addoption
from ._hooks import pytest_configure as pytest_configure
from ._hooks import pytest_configure_node as pytest_configure_node
from ._hooks import pytest_generate_tests as pytest_generate_tests
from ._hooks import pytest_report_collectionfinish as pytest_report_collectionfinish
from ._hooks import pytest_report_header as pytest_report_header
from ._hooks import pytest_runtest_call as pytest_runtest_call
from ._hooks import pytest_runtest_makereport as pytest_runtest_makereport
from ._hooks import pytest_runtest_protocol as pytest_runtest_protocol
from ._hooks import pytest_runtest_teardown as pytest_runtest_teardown
from ._hooks import pytest_sessionfinish as pytest_sessionfinish
from ._hooks import pytest_sessionstart as pytest_sessionstart
from ._hooks import pytest_terminal_summary as pytest_terminal_summary
from ._hooks import pytest_testnodedown as pytest_testnodedown
from ._types import OpenAccuser as OpenAccuser
from ._types import OpenBaker as OpenBaker
from ._types import OpenClient as OpenClient
from ._types import OpenNode as OpenNode
