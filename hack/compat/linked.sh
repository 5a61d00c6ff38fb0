#!/usr/bin/env bash
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at http://mozilla.org/MPL/2.0/.

# Writes talos-1.13.linked: what machined links of what it would link with our packages. A module of Talos that cannot
# be had is reported, and what it brings counts as not linked.
set -euo pipefail

cd "$(dirname "$0")/../.."
export CGO_ENABLED=0 GOOS=linux GOFLAGS=-mod=readonly GOWORK=off LC_ALL=C

modfile=$PWD/hack/compat/talos-1.13.mod
list=${modfile%.mod}.linked
talos=github.com/siderolabs/talos
version=$(go list -m -modfile="$modfile" -f '{{.Version}}' "$talos/pkg/machinery")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The module proxy has Talos without its module pkg/machinery, which go.mod replaces with the folder.
source=$(cd "$work" && go mod download -json "$talos@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
install -m 600 "$source/go.mod" "$source/go.sum" "$work"
go mod edit -dropreplace="$talos/pkg/machinery" "$work/go.mod"

# The packages that ours import themselves, and the modules of all packages that they come to.
ours() {
	GOARCH=$1 go list -deps -modfile="$modfile" -tags grpcnotrace -f '{{with .Module}}{{if .Main}}{{join $.Imports "\n"}}
		{{else}}{{.Path}} {{.Version}}{{end}}{{end}}' ./pkg/check ./pkg/controllers/recovery ./pkg/resources/recovery
}

# The packages of other people, and their modules. A module that Talos replaces is not the one that its version says.
machined() {
	cd "$source" && GOARCH=$1 go list -deps -mod=mod -modfile="$work/go.mod" -tags tcell_minimal,grpcnotrace \
		-f '{{with .Module}}{{if not .Replace}}{{$.ImportPath}}{{"\n"}}{{.Path}} {{.Version}}{{end}}{{end}}' \
		./internal/app/machined || true
}

for arch in amd64 arm64; do
	ours $arch | sort -u >"$work/ours"
	machined $arch | sort -u >"$work/machined"
	comm -12 "$work/ours" "$work/machined" | sed '/^\s*$/d' >"$work/$arch"
done

comm -12 "$work/amd64" "$work/arm64" >"$work/list"

if [[ ! -s $work/list ]]; then
	echo "machined of Talos $version could not be listed" >&2
	exit 1
fi

{
	echo "# What machined of Talos $version links of what it would link with our packages: the packages that ours import"
	echo "# themselves, and the modules of all that they come to. \`make linked\` writes this."
	cat "$work/list"
} >"$list"
