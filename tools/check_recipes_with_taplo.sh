#!/usr/bin/env bash
# Holds every recipe against configs/recipe.schema.json with Taplo, the program behind the editors' TOML support: it must accept the
# recipes of configs/ and examples/ and the presets, and reject the mistakes that a schema can see.
# Needs npm, which fetches @taplo/cli; tests/tests/schema.rs checks the same with a validator in Rust and nothing else.
#
#   tools/check_recipes_with_taplo.sh
set -euo pipefail
cd "$(dirname "$0")/.."

taplo() { npx --yes @taplo/cli@0.7.0 lint "$@"; }
schema="file://$PWD/configs/recipe.schema.json"

echo "accepted by their #:schema lines:"
taplo configs/*.toml examples/*/*.toml
echo "accepted:"
taplo --schema "$schema" lrp-config/presets/*.toml

rejected=0
while read -r name; do
  file="tests/recipes/mistakes/$name.toml"
  if taplo --schema "$schema" "$file" >/dev/null 2>&1; then
    echo "$file should be rejected, and Taplo accepts it"
    exit 1
  fi
  rejected=$((rejected + 1))
done < tests/recipes/mistakes/seen-by-schema.txt
echo "$rejected mistakes rejected"
