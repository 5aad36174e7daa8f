"""Reading and writing CSV tables.

Authors
 * The miipher2 authors 2026
"""

import csv
import io

from miipher2.dataio.atomic import write_text
from miipher2.errors import UserError


def read_table(path, columns, skipinitialspace=False, errors="strict"):
    """Read the rows of a CSV file.

    Arguments
    ---------
    path : str or Path
        CSV file in UTF-8, with a header.
    columns : tuple of str
        Required columns; the file can have others.
    skipinitialspace : bool
        Whether to remove spaces after commas.
    errors : str
        Handling of invalid UTF-8; see ``bytes.decode``.

    Yields
    ------
    line : int
        Line number, from 1, of the end of the row.
    row : dict
        Text by column; None for the columns that a short row lacks.

    Raises
    ------
    UserError
        If the file cannot be read, a column is missing or a row has non-empty
        cells beyond the last column.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.csv"
    >>> _ = path.write_text("ID,text\\n1,Hello.\\n")
    >>> list(read_table(path, ("ID", "text")))
    [(2, {'ID': '1', 'text': 'Hello.'})]
    """
    try:
        # utf-8-sig, because spreadsheet programs write a byte order mark.
        file = open(path, encoding="utf-8-sig", errors=errors, newline="")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read: {error.strerror}; expected a CSV file "
            f"with the columns {','.join(columns)}"
        ) from None
    with file:
        reader = csv.DictReader(file, skipinitialspace=skipinitialspace)
        try:
            found = reader.fieldnames or []
            missing = [name for name in columns if name not in found]
            if missing:
                raise UserError(
                    f"{path}: expected the columns {','.join(columns)}, found "
                    f"{','.join(found) or 'none'}; {','.join(missing)} missing"
                )
            for row in reader:
                if any(row.pop(None, ())):  # empty surplus cells are ignored
                    raise UserError(
                        f"{path}, line {reader.line_num}: more cells than "
                        "columns; enclose text that contains commas in double "
                        "quotes"
                    )
                yield reader.line_num, row
        except UnicodeDecodeError:
            raise UserError(f"{path}: cannot be read: expected UTF-8") from None
        except csv.Error as error:
            raise UserError(f"{path}: cannot be read: {error}") from None


def write_table(path, columns, rows):
    """Write a CSV file atomically.

    Arguments
    ---------
    path : str or Path
        The file; its folder is created if needed.
    columns : list of str
        Columns of the header. Other keys of the rows are ignored.
    rows : list of dict
        Values by column.

    Example
    -------
    >>> path = getfixture("tmp_path") / "a.csv"
    >>> write_table(path, ["ID", "text"], [{"ID": 1, "text": "Hello."}])
    >>> path.read_text()
    'ID,text\\n1,Hello.\\n'
    """
    text = io.StringIO()
    writer = csv.DictWriter(
        text, columns, extrasaction="ignore", lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
