"""The project's files as the Studio reads and writes them."""

from warmline.studio.files.folder import Content, FileRefused, ProjectFiles
from warmline.studio.files.source import plain_lines, save_source, with_line_ends
from warmline.studio.files.yaml_edit import edit_yaml

__all__ = ["Content", "FileRefused", "ProjectFiles", "edit_yaml", "plain_lines", "save_source", "with_line_ends"]
