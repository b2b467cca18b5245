"""A recording as a page that shows it on a time axis, or as a trace for trace viewers.

_data     the recording, compact (pure)      _page    page.html with styles, scripts and data in it
_trace    the Trace Event Format (pure)      *.js     what runs in the page, in the order of `_page`

May import `_recording`, `events`, `_mavryk`, and what they may import.
"""

from ._page import timeline_page as timeline_page
from ._trace import timeline_trace as timeline_trace
