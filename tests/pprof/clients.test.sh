#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the indexer and write_profiles of a build, and has the clients read their profiles:
# `clients.test.sh BUILD`.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
build="$(cd "$1" && pwd)"
folder="$build/tests/clients"
rm -rf "$folder"
mkdir -p "$folder/indexer" "$folder/kinds"
"$build/examples/indexer" /usr/include "$folder/indexer"
"$build/tests/write_profiles" "$folder/kinds"
bash "$here/clients.sh" "$folder/indexer" "$folder/kinds" "$build/tests/clients"
