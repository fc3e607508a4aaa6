"""Values that may go at any time, in a file of their own. A failure is a miss, never an error."""

from holdfast.cache.file import File, let_go, open_file
from holdfast.cache.handle import Cache, check_name
from holdfast.cache.model import BYTES_MAX, CacheStats

__all__ = ["BYTES_MAX", "Cache", "CacheStats", "File", "check_name", "let_go", "open_file"]
