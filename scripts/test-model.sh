#!/usr/bin/env bash
# The claim of knocks and the merge of grants in a fleet: a million knocks in simulated schedules over the code, and a model of
# all orders of events. See docs/testing.md. Arguments: those of test/model/main.ts, to run only the simulation.
cd "$(dirname "$0")/.."
# Without arguments of its own, it would take those of this script as packages.
arguments=("$@")
set --
. scripts/prepare.sh
npm run --silent build || exit
[ ${#arguments[@]} = 0 ] || exec node dist/test/model/main.js "${arguments[@]}"
# Without them, the model is skipped, and says so.
(. scripts/prepare.sh spin gcc libc6-dev) || true
node dist/test/model/main.js && node scripts/check-model.js
