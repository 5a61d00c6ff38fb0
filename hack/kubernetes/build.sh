#!/usr/bin/env bash
# This Source Code Form is subject to the terms of the Mozilla Public
# License, v. 2.0. If a copy of the MPL was not distributed with this
# file, You can obtain one at http://mozilla.org/MPL/2.0/.

# Builds the programs of a version of Kubernetes: build.sh VERSION OUT, where VERSION is 1.34 for example, or empty for
# that of go.mod. Says on its output which version it has built. More than one may build the same at a time.
set -euo pipefail

if (($# != 2)); then
	echo 'usage: build.sh VERSION OUT; VERSION is 1.34 for example, or empty for that of go.mod' >&2
	exit 2
fi

version=$1
out=$(realpath -m "$2")
cd "$(dirname "${BASH_SOURCE[0]}")"
export GOWORK=off GOFLAGS=-mod=readonly

module=k8s.io/kubernetes
default=$(go list -m -f '{{.Version}}' "$module")
default=${default#v}
modfile=go.mod
tags=

if [[ -n $version && $version != "${default%.*}" ]]; then
	modfile=$version.mod
	tags=k8s$version

	if [[ ! $version =~ ^[0-9.]+$ || ! -f $modfile ]]; then
		known=("${default%.*}" [0-9]*.mod)
		echo "there is no Kubernetes \"$version\" to build; known are: ${known[*]%.mod}" >&2
		exit 2
	fi
fi

full=$(go list -modfile="$modfile" -m -f '{{.Version}}' "$module")
IFS=. read -r major minor _ <<<"${full#v}"
variable=k8s.io/component-base/version

mkdir -p "$(dirname "$out")"
exec 9>"$out.lock"
flock 9

# Only a build by Kubernetes' own scripts knows its version by itself.
go build -buildvcs=false -modfile="$modfile" -tags="$tags" -o "$out" -ldflags="-s -w -X $variable.gitVersion=$full \
	-X $variable.gitMajor=$major -X $variable.gitMinor=$minor -X $variable.gitTreeState=clean" .

echo "$full"
