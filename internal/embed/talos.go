// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// tagPath is where a tree of Talos says which version it is, or comes after (siderolabs/talos v1.13.9,
// pkg/machinery/version).
const tagPath = "pkg/machinery/gendata/data/tag"

// supported says which versions of Talos the edits are known to fit.
const supported = "v1.13.5 and later 1.13 releases, and the v1.14 line"

// TalosVersion returns the version of a tree of Talos, or why nothing can be embedded in it.
func TalosVersion(tree fs.FS) (string, error) {
	text, err := fs.ReadFile(tree, goModPath)

	switch name := modfile.ModulePath(text); {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("this is not a source tree of Talos: it has no %s; expected is a checkout of %s", goModPath, talosModule)
	case err != nil:
		return "", fmt.Errorf("this is not a source tree of Talos: %w", err)
	case name != talosModule:
		return "", fmt.Errorf("this is not a source tree of Talos: its %s is that of %q; expected is a checkout of %s", goModPath, name, talosModule)
	}

	tag, err := fs.ReadFile(tree, tagPath)
	if err != nil {
		return "", fmt.Errorf("the version of Talos is unknown: %w", err)
	}

	version := strings.TrimSpace(string(tag))

	switch {
	case !semver.IsValid(version):
		return "", fmt.Errorf("the version of Talos is unknown: %s says %q", tagPath, version)
	case semver.MajorMinor(version) == "v1.13" && semver.Compare(version, "v1.13.5") >= 0:
	case semver.MajorMinor(version) == "v1.14":
	default:
		return "", fmt.Errorf("Talos %s is not supported: rebound can be embedded in %s; found in %s", version, supported, tagPath) //nolint:staticcheck // a name
	}

	return version, nil
}
