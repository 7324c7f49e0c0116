"""Looks after an installation: what `warmline doctor` and the Studio's health page both tell."""

from warmline.health.installation import backlog, connection_findings, finding
from warmline.health.system import SystemHealth

__all__ = ["SystemHealth", "backlog", "connection_findings", "finding"]
