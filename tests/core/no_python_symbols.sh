#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The core knows no Python: neither the built library nor its sources may mention it, or one copy
# could not serve every runtime of the process.
# usage: no_python_symbols.sh LIBSUBINTERP_SO CORE_DIRECTORY
set -eu

status=0
report() {  # number, name, what was found: nothing is good
    if [ -z "$3" ]; then
        echo "ok $1 - $2"
    else
        echo "not ok $1 - $2"
        echo "$3" | sed 's/^/# /'
        status=1
    fi
}

exported=$(nm -D --defined-only "$1" | awk '{print $NF}')
report 1 "no undefined symbol of Python" "$(nm -D --undefined-only "$1" | grep -E ' _?Py' || true)"
report 2 "no library of Python is needed" "$(readelf -d "$1" | grep -i 'NEEDED.*python' || true)"
report 3 "no source includes Python.h" "$(grep -rn 'include.*Python\.h' "$2" || true)"
# the sanitizers export a few symbols of their own
report 4 "only subi_ names are exported, none private" \
    "$(echo "$exported" | grep -Ev '^(subi_[a-z]|__asan|__tsan|__odr_asan|__ubsan)' || true)"
echo 1..4
exit $status
