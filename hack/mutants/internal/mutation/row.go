// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package mutation

import (
	"path"
	"regexp"
	"strings"
)

// Row is a rule, the change that breaks it, and the test that notices.
type Row struct {
	// Name is what the row is called by; it is that of no other row.
	Name string
	// Section is where the rule comes from, and Rule is the rule in words.
	Section, Rule string

	// File is what is changed, with slashes and from the top of the repository. Old occurs in it exactly once, and New takes its
	// place.
	File, Old, New string

	// Folder is that of the test's package, from the top of the repository; empty means that of File.
	Folder string
	// Test is the test that fails, as it is written: subtests after a slash, with spaces.
	Test string
	// Hangs is whether the test fails by not ending in time. Else that is no answer.
	Hangs bool
}

// Package is the folder of the test's package.
func (r *Row) Package() string {
	if r.Folder != "" {
		return r.Folder
	}

	return path.Dir(r.File)
}

// testName is what the test calls itself in its output.
func (r *Row) testName() string { return strings.ReplaceAll(r.Test, " ", "_") }

// pattern is what makes "go test -run" run this test and no other, but for those above it.
func (r *Row) pattern() string {
	names := strings.Split(r.Test, "/")
	for i, name := range names {
		names[i] = "^" + regexp.QuoteMeta(name) + "$"
	}

	return strings.Join(names, "/")
}
