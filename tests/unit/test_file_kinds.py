"""What a file is and may be called (webex-byoc.md §13)."""

import pytest

from warmline.files.kinds import FileRefused, clean_name, delivered_type, identify, sniffed

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 20
GIF = b"GIF89a" + b"\0" * 20
WEBP = b"RIFF\x10\0\0\0WEBPVP8 "
PDF = b"%PDF-1.7\n"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "image/png"),
        (JPEG, "image/jpeg"),
        (GIF, "image/gif"),
        (WEBP, "image/webp"),
        (PDF, "application/pdf"),
        ("Grüße\n".encode(), "text/plain"),
        (b"\xff\xfe\x00a", ""),
        (b"MZ\x90\x00", ""),
        (b"PK\x03\x04\x00", ""),
        (b"  <!DOCTYPE html><p>", ""),
        (b"<svg onload='x'/>", ""),
    ],
)
def test_the_bytes_tell_what_it_is(content: bytes, kind: str) -> None:
    assert sniffed(content) == kind


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.png", PNG, "image/png"),
        ("A.JPEG", JPEG, "image/jpeg"),
        ("photo", PNG, "image/png"),
        ("list.csv", b"a,b\n", "text/csv"),
        ("list.txt", b"a,b\n", "text/plain"),
        ("v1.2 notes", b"text", "text/plain"),
    ],
)
def test_a_customers_file_is_what_its_name_and_bytes_agree_on(name: str, content: bytes, kind: str) -> None:
    assert identify(name, content) == kind


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("a.pdf", PNG, 415, "file_type_mismatch"),
        ("a.png", b"text", 415, "file_type_mismatch"),
        ("a.exe", PNG, 415, "file_type"),
        ("a.docx", b"PK\x03\x04\x00", 415, "file_type"),
        ("a.html", b"<html>", 415, "file_type"),
        ("a.png", b"", 400, "file_empty"),
    ],
)
def test_what_is_not_what_it_says_is_refused_with_a_sentence(name: str, content: bytes, status: int, code: str) -> None:
    with pytest.raises(FileRefused) as refused:
        identify(name, content)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert refused.value.public_message.endswith(".")


@pytest.mark.parametrize(
    ("declared", "content", "kind"),
    [
        ("application/pdf", PDF, "application/pdf"),
        ("text/html", PNG, "image/png"),
        ("image/png", b"\x01\x02\xff", "application/octet-stream"),
        ("text/html", b"<html><script>", "application/octet-stream"),
        ("image/svg+xml", b"<svg/>", "application/octet-stream"),
        ("text/javascript", b"alert(1)", "application/octet-stream"),
        ("application/msword; x=1", b"\xd0\xcf\x11\xe0", "application/msword"),
        ("not a type", b"\xd0\xcf\x11\xe0", "application/octet-stream"),
        ("", b"hello", "text/plain"),
        ("text/csv", b"a,b", "text/csv"),
    ],
)
def test_A28_an_agents_file_is_never_handed_on_as_something_a_browser_runs(
    declared: str, content: bytes, kind: str
) -> None:
    assert delivered_type(declared, content) == kind


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ("C:\\bills\\May [2026].pdf", "May 2026.pdf"),
        ("../../etc/passwd", "passwd"),
        ("a\x00b\r\nc.png", "abc.png"),
        ("\u202egnp.exe", "gnp.exe"),
        ("<b>.txt", "b.txt"),
        ("", "unnamed"),
        (".htaccess", "htaccess"),
        ("x" * 300 + ".pdf", "x" * 176 + ".pdf"),
        ("Rechnung  März.pdf", "Rechnung März.pdf"),
    ],
)
def test_names_lose_paths_controls_and_markup(given: str, clean: str) -> None:
    assert clean_name(given) == clean
