#!/bin/sh
# Many histories of one profile: 20,000, or 200,000 in the long form. usage: histories.sh model_sim PROFILE
histories=20000
[ -n "$PGFORCE_LONG" ] && histories=200000
exec "$1" --seed 1 --histories "$histories" --profile "$2"
