"""Saving a file that was edited as text, in the Studio's source editor."""

from warmline.studio.files.folder import Content, FileRefused, ProjectFiles


async def save_source(files: ProjectFiles, file: str, entered: str, digest: str) -> Content | None:
    """Write what was entered, with the file's own line ends.

    Args:
        files: the project's files.
        file: relative to the project.
        entered: the text of the form.
        digest: of the file as it was when the editor was opened.

    Returns:
        None when it is saved; the file as it is now when it has changed meanwhile, and nothing was written.

    Raises:
        FileRefused: it cannot be read or written.
    """
    there = await files.read(file)
    if there.digest != digest:
        return there
    text = with_line_ends(entered, there)
    if text == there.text:
        return None
    try:
        await files.write(file, text, there.digest)
    except FileRefused as refused:
        if refused.code != "changed":
            raise
        return await files.read(file)
    return None


def with_line_ends(entered: str, there: Content) -> str:
    """Give the text with the line ends that the file has, whatever the browser sent."""
    text = plain_lines(entered)
    return text.replace("\n", "\r\n") if "\r\n" in there.text else text


def plain_lines(entered: str) -> str:
    """Give the text of a form with plain line ends."""
    return entered.replace("\r\n", "\n")
