# SPDX-License-Identifier: MIT
"""Writes a header with the hash of the sources that say how copies are made.

Arguments: the header, then the sources. It is part of the names of copies, so that a loader that would
make them differently does not take them for its own.
"""

import hashlib
import pathlib
import sys

header, *sources = map(pathlib.Path, sys.argv[1:])
total = hashlib.sha256()
for source in sources:
    total.update(source.read_bytes())
header.write_text(f'#define SUBI__RECIPE "{total.hexdigest()[:16]}"\n')
