#!/usr/bin/env bash
# The tests that break what is around pkctl, and those that compare the table of faults with all tests. Then the table.
cd "$(dirname "$0")/.."
status=0
bash scripts/test.sh faults/ unit/docs/ || status=$?
grep '^|' docs/faults.md
exit $status
