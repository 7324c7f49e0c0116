"""Files between customers and live agents: what they are, where they lie, how they are fetched (webex-byoc.md §13)."""

from warmline.files.fetch import Fetcher, FetchFailed
from warmline.files.kinds import FileRefused, clean_name, identify
from warmline.files.relay import FileRelay

__all__ = ["FetchFailed", "Fetcher", "FileRefused", "FileRelay", "clean_name", "identify"]
