// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/talos-rebound/rebound/hack/lab/lab"
)

// Half is which half of rebound a row is about.
type Half string

// The halves.
const (
	Recovery Half = "recovery"
	Reboots  Half = "reboots"
)

// Place is where a row is played.
type Place int

const (
	// Beside is the zero value: beside other rows, on a lab that they share. The row
	// touches nothing but its own namespace and nodes.
	Beside Place = iota
	// InTurn is on a lab that rows of the same half have one after the other. The row
	// leaves the control plane as it was.
	InTurn
	// Alone is on a lab that is closed afterwards.
	Alone
)

// defaultLimit bounds a row that says nothing else, on a slow machine.
const defaultLimit = 4 * time.Minute

// Row is a fault, and what has to be seen when it happens.
type Row struct {
	// Name is a sentence, and the row's own.
	Name string
	Half Half

	// Fault is what is wrong, When at which step, and Lasts for how long: words for
	// those who read the report.
	Fault, When, Lasts string

	// Phase and Message are what the node's recovery, or its reboot, says while the
	// fault is on. Message is a part of the message, in the words of plain.go. The row
	// has to see them with [Stage.Saw]. Both are empty for a fault that changes
	// nothing that can be seen.
	Phase, Message string
	// End is what the row's func has to return, word for word.
	End string
	// Requests is how many requests rebound may send to the API server in the whole
	// row, those included that never arrive there.
	Requests int

	// Place is where the row is played, and Options are those of a lab of its own.
	Place   Place
	Options []lab.Option
	// Quick is whether the row is in the smaller set that the tests play.
	Quick bool
	// Limit bounds the row; zero is four minutes.
	Limit time.Duration
	// Forces is whether pods may be deleted past their budget.
	Forces bool

	// Play plays the row and returns how it ended, in the words of End. What the
	// stage cannot do ends it, see [Stage].
	Play func(*Stage) (end string, err error)
}

// Expected is what has to be seen.
func (row *Row) Expected() string { return account(row.Phase, row.Message, row.End) }

// account words what is seen of a row.
func account(phase, message, end string) string {
	if phase == "" {
		return end
	}

	return fmt.Sprintf("%s (%s); then %s", phase, message, end)
}

func (row *Row) limit() time.Duration { return cmp.Or(row.Limit, defaultLimit) }

// Rows returns the matrix: recoveries, then reboots, in the order in which it is
// shown.
func Rows() []Row { return slices.Concat(recoveryRows(), rebootRows()) }

// recoveryRows are those of the half recovery, by theme.
func recoveryRows() []Row {
	return of(Recovery,
		serverRows(), networkRows(), answerRows(), componentRows(), refusalRows(), identityRows(), ownerRows(),
		clockRows(), machineRows(), interruptionRows(), kubeletRows(), podRows(), daemonSetRows(),
	)
}

// rebootRows are those of the half reboots, by theme.
func rebootRows() []Row { return of(Reboots) }

// of puts rows together and says which half they are of.
func of(half Half, themes ...[]Row) []Row {
	rows := slices.Concat(themes...)

	for i := range rows {
		rows[i].Half = half
	}

	return rows
}
