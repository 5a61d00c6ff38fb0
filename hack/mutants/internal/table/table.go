// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

// Package table has the rules that must hold, each with a change that breaks it and the test that fails then. The sections are
// those of design.md, about recovery, of coordinator.md, about reboots, a command that is about neither, and what all of it
// may cost.
//
// A row is out of date as soon as its text is not in its file any more, or its test is called something else: the tests of
// this package say so. Then the rule has moved, and its row moves along. A rule that is new gets a row; if no test fails, it
// gets a test first.
package table

import (
	"slices"

	"github.com/talos-rebound/rebound/hack/mutants/internal/mutation"
)

// The sections.
const (
	sectionGate      = "design.md §4"
	sectionPods      = "design.md §5"
	sectionResources = "design.md §6"
	sectionReboots   = "coordinator.md §5"
	sectionBackoff   = "rebound backoff"
	sectionCosts     = "costs"
)

// Rows returns the table.
func Rows() []mutation.Row {
	return slices.Concat(
		in(sectionGate, localGate(), nodeGate()),
		in(sectionPods, pods(), classes(), limits(), deletes(), answers(), following(), clocks()),
		in(sectionResources, resources(), memory(), events()),
		in(sectionReboots, slots(), leaders(), cordons(), grants(), agent(), talos(), gates(), quorum(), queue(), evictions(), force()),
		in(sectionBackoff, clearing(), resetting(), restarting()),
		in(sectionCosts, costs()),
	)
}

// in says which section the rows are of.
func in(section string, groups ...[]mutation.Row) []mutation.Row {
	rows := slices.Concat(groups...)
	for i := range rows {
		rows[i].Section = section
	}

	return rows
}
