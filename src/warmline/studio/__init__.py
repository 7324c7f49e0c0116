"""The Studio: the web pages in which operators and builders work. Mounted at `/studio`, behind a login."""

from warmline.studio.deps import StudioDeps
from warmline.studio.service import Studio

__all__ = ["Studio", "StudioDeps"]
