"""Generated sections and tables of documentation pages.

Authors
 * The miipher2 authors 2026
"""

from pathlib import Path

from miipher2.dataio.atomic import write_text
from miipher2.errors import UserError


def fill(page, name, text):
    """Replace the text between ``<!-- name -->`` and ``<!-- end of name -->``.

    Arguments
    ---------
    page : str or Path
        Markdown file that contains both comments.
    name : str
        Name of the section.
    text : str
        New text of the section.

    Raises
    ------
    UserError
        If the page cannot be read or does not contain both comments.

    Example
    -------
    >>> page = getfixture("tmp_path") / "page.md"
    >>> _ = page.write_text("A\\n<!-- b -->\\nold\\n<!-- end of b -->\\nC\\n")
    >>> fill(page, "b", "new")
    >>> page.read_text().splitlines()
    ['A', '<!-- b -->', '', 'new', '', '<!-- end of b -->', 'C']
    """
    start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    try:
        before, found, remainder = (
            Path(page).read_text("utf-8").partition(start)
        )
    except OSError as error:
        raise UserError(f"{page}: cannot be read: {error.strerror}") from None
    _, ended, after = remainder.partition(end)
    if not found or not ended:
        lines = f"{start.strip()} and {end.strip()}"
        raise UserError(f"{page}: expected the lines {lines}")
    text = text.strip("\n")
    write_text(page, f"{before}{start}\n{text}\n\n{end}{after}")


def markdown_table(lines):
    """Return a Markdown table; the first row is the header.

    Example
    -------
    >>> print(markdown_table([["a", "b"], ["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    head, *rows = (f"| {' | '.join(cells)} |" for cells in lines)
    return "\n".join([head, "|---" * len(lines[0]) + "|", *rows])
