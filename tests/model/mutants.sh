#!/bin/sh
# Every mutant of the simulated engine must be caught within its bound, from a fixed seed: else the
# oracles have lost their teeth. usage: mutants.sh path/to/model_sim
sim=$1
missed=0

while read -r mutant profile histories; do
    "$sim" --seed 1 --histories "$histories" --profile "$profile" --mutant "$mutant" || missed=1
done <<'END'
no-archive-dedupe uniform 200
confirm-before-commit uniform 200
no-echo-filter uniform 200
create-by-upsert uniform 2000
duplicate-as-failure uniform 500
doubt-as-success uniform 200
no-precondition uniform 2000
cursor-max-strict uniform 200
mark-before-rows uniform 500
no-in-flight uniform 1000
no-barrier uniform 200
no-tombstones uniform 1000
no-stale-check uniform 500
no-conflict-check hot 200
no-key-match uniform 200
fixed-overlap uniform 200
fixed-lag uniform 200
mark-passes-held uniform 200
no-external-id uniform 200
retry-dropped uniform 200
whole-row uniform 500
whole-row-no-check uniform 200
no-repair uniform 5000
no-doubt-hold hot 40000
history-not-state uniform 500
stale-read-revives uniform 500
no-late-hold uniform 5000
END
exit $missed
