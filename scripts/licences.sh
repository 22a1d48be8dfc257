#!/usr/bin/env bash
# The licences of all that is compiled into the library and the programs, or compiles them, as a table.
#
#     scripts/licences.sh
#
# Dependencies of tests are left out. Ends with an error if one cannot be had under the licences below, all of which allow what
# this crate's own, MIT or Apache-2.0, allow. One more needs a look at its text first.
set -euo pipefail
cd "$(dirname "$0")/.."
allowed=(
    0BSD
    Apache-2.0 "Apache-2.0 WITH LLVM-exception"
    BSD-2-Clause BSD-3-Clause
    CC0-1.0
    ISC
    MIT MIT-0
    Unicode-3.0
    Unlicense
    Zlib
)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# `cargo metadata` would list what features do not ask for, too
tree() { cargo tree --locked --edges normal,build --target all --prefix none --format '{p}|{l}|' "$@"; }
tree >"$folder/default"
for feature in cuda jpeg2000 mpi; do tree --features "$feature" >"$folder/$feature"; done
python3 - "$folder" "${allowed[@]}" <<'PY'
import re, sys

folder, allowed = sys.argv[1], set(sys.argv[2:])


def dependencies(features):
    """Name and version of each, and its licence; the first line is this crate."""
    lines = [line.split("|") for line in open(f"{folder}/{features}").read().splitlines()[1:]]
    return {tuple(package.split()[:2]): licence or "none given" for package, licence, _ in lines if package}


def permitted(text):
    """Whether an SPDX expression leaves a choice that is allowed. The old way to write OR is a slash."""
    tokens = re.findall(r"[()]|[^\s()/]+|/", text)

    def any_of():
        result = all_of()
        while tokens and tokens[0] in ("OR", "/"):
            tokens.pop(0)
            result = all_of() or result
        return result

    def all_of():
        result = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            result = one() and result
        return result

    def one():
        name = tokens.pop(0)
        if name == "(":
            result = any_of()
            if tokens.pop(0) != ")":
                raise IndexError
            return result
        if tokens[:1] == ["WITH"]:
            name = " ".join([name, tokens.pop(0), tokens.pop(0)])
        return name in allowed

    try:
        return any_of() and not tokens
    except IndexError:
        return False


default = dependencies("default")
more = {feature: dependencies(feature) for feature in ("cuda", "jpeg2000", "mpi")}
print("| crate | version | licence | only with |\n|---|---|---|---|")
every = sorted({package: licence for some in (default, *more.values()) for package, licence in some.items()}.items())
for package, licence in every:
    only = "" if package in default else ", ".join(feature for feature in more if package in more[feature])
    print(f"| {package[0]} | {package[1][1:]} | {licence} | {only} |")
refused = [f"error: {name} {version[1:]}: {licence}" for (name, version), licence in every if not permitted(licence)]
if refused:
    sys.exit("\n".join(refused) + "\nIts licence is not among those that scripts/licences.sh allows.")
print(f"{len(every)} dependencies, all under licences that are allowed", file=sys.stderr)
PY
