// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package embed

import (
	"bytes"
	"fmt"
	"path/filepath"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

const (
	goModPath = "go.mod"
	goSumPath = "go.sum"
)

// replacedVersion is what the go command itself requires of a module that is replaced by a folder.
const replacedVersion = "v0.0.0-00010101000000-000000000000"

// requireRebound returns go.mod with a requirement of rebound, and a replacement of it if there is a folder for it.
func requireRebound(text []byte, options Options) ([]byte, error) {
	version := options.Version
	if options.Dir != "" {
		version = replacedVersion
	}

	if semver.Canonical(version) != version {
		return nil, fmt.Errorf("%q is not a version of rebound: it is not of the form v1.2.3", version)
	}

	if err := module.Check(Module, version); err != nil {
		return nil, fmt.Errorf("%q is not a version of rebound: %w", version, err)
	}

	// The go command leaves a statement alone that has a comment and stands by itself.
	inserted := fmt.Appendf(bytes.Clone(text), "\nrequire %s %s // %s\n", Module, version, marker)

	if options.Dir != "" {
		inserted = fmt.Appendf(inserted, "\nreplace %s => %s // %s\n", Module, modfile.AutoQuote(filepath.ToSlash(options.Dir)), marker)
	}

	if _, err := modfile.Parse(goModPath, inserted, nil); err != nil {
		return nil, fmt.Errorf("failed to parse it: %w", err)
	}

	return checkExact(text, inserted)
}

// stripSums returns go.sum without the checksums of rebound.
func stripSums(text []byte) ([]byte, error) {
	rest := make([]byte, 0, len(text))

	for line := range bytes.Lines(text) {
		if !bytes.HasPrefix(line, []byte(Module+" ")) {
			rest = append(rest, line...)
		}
	}

	return rest, nil
}
