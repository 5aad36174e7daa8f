"""Entry point of ``python -m miipher2``, an alias for ``miipher2``.

Authors
 * The miipher2 authors 2026
"""

import sys

from miipher2.cli import main

sys.exit(main())
