#!/usr/bin/env bash
# All test files that the table of faults names, and those that compare the table with them. Then the table.
cd "$(dirname "$0")/.."
status=0
files=$(grep '^|' docs/faults.md | grep -oE '`[a-z/-]+\.test\.ts`' | tr -d '`' | sed 's/\.ts$//' | sort -u)
# shellcheck disable=SC2086 # a word for each file
bash scripts/test.sh $files unit/docs/ || status=$?
grep '^|' docs/faults.md
exit $status
