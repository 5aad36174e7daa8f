"""Entry point of ``python -m miipher2``, the same as the command ``miipher2``.

Authors
 * The miipher2 authors 2026
"""

import sys

from miipher2.cli import main

sys.exit(main())
