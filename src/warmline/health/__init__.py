"""Looks after an installation: what `warmline doctor` and the Studio's health page both tell."""

from warmline.health.installation import backlog, connection_findings, finding, sealed
from warmline.health.metrics import BacklogMetrics, show_workers
from warmline.health.system import SystemHealth

__all__ = ["BacklogMetrics", "SystemHealth", "backlog", "connection_findings", "finding", "sealed", "show_workers"]
