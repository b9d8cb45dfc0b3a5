"""What only the instructor has: build, restore, execute, judge, record, report."""

import sys

# With this package jsonschema, which nbformat imports, compiles 38 grammars of internationalized
# addresses: more than two seconds in each process, for a check that notebooks have no use for.
sys.modules.setdefault("rfc3987_syntax", None)
