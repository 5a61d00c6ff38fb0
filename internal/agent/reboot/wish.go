// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package reboot

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Wish is whether the host wants to be rebooted. The zero value is that it is not known.
type Wish struct {
	// Known is whether that was found out, Wanted what it was.
	Known, Wanted bool
	// Since is when the host was first seen to want it, Reason why it does; both are zero if it does not.
	Since  time.Time
	Reason string
}

// Sentinel is something on the host that tells whether it wants to be rebooted.
type Sentinel interface {
	// Watch calls tell with what it says, and again after every change, until ctx is done. While it cannot be asked, what it
	// said last counts.
	Watch(ctx context.Context, tell func(wanted bool, reason string))
}

// sign is what one sentinel has said last.
type sign struct {
	known, wanted bool
	reason        string
}

// wishOf is what all sentinels say together: one that wants it is enough, and before nobody does all must have spoken. The
// wish before tells since when.
func wishOf(signs []sign, before Wish, now time.Time) Wish {
	var reasons []string

	for _, sign := range signs {
		if sign.wanted {
			reasons = append(reasons, sign.reason)
		}
	}

	switch {
	case len(reasons) > 0:
		wish := Wish{Known: true, Wanted: true, Since: now, Reason: strings.Join(reasons, "; ")}
		if before.Wanted {
			wish.Since = before.Since
		}

		return wish
	case slices.ContainsFunc(signs, func(s sign) bool { return !s.known }):
		return Wish{}
	default:
		return Wish{Known: true}
	}
}
