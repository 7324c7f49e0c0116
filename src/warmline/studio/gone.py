"""A file that went away while it was edited: what was written is shown, with what can be done with it."""

from collections.abc import Mapping

from aiohttp import web

from warmline.studio.files import FileRefused, ProjectFiles
from warmline.studio.pages import PROJECT, Pages


async def is_gone(request: web.Request, files: Mapping[str, ProjectFiles]) -> bool:
    """Tell whether the file in a form's address is not there, though the form was opened with it."""
    if not (await request.post()).get("digest") or request[PROJECT] not in files:
        return False
    try:
        await files[request[PROJECT]].read(request.match_info["file"])
    except FileRefused as refused:
        return refused.code == "gone"
    return False


async def again(request: web.Request) -> bool:
    """Tell whether the form asks for its file to be created again."""
    return "again" in await request.post()


async def show_gone(
    pages: Pages,
    request: web.Request,
    files: ProjectFiles,
    *,
    section: str,
    pages_of: str,
    file: str,
    kept: Mapping[str, str],
    digest: str,
    text: str,
    wrong: str = "",
) -> web.Response:
    """Offer to create the file again, to write into the one that it became, or to drop what was written.

    Args:
        pages: draws the page.
        request: the form that could not be saved.
        files: the project's files.
        section: the navigation's entry.
        pages_of: where the editors of such files are, below /studio/.
        file: relative to the project.
        kept: the fields of the form.
        digest: of the file as it was opened.
        text: what would be in the file.
        wrong: why it cannot be, in words; "" when it can.
    """
    return pages.show(
        request,
        "file_gone.html",
        status=409,
        section=section,
        file=file,
        page=f"{pages_of}/{file}",
        moved=(moved := await files.same_content(file, digest)),
        moved_page=f"{pages_of}/{moved}",
        kept=kept,
        digest=digest,
        text=text,
        wrong=wrong,
    )
