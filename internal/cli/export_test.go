// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import "io"

// NewLiveReporter makes a reporter for a terminal of that size.
func NewLiveReporter(w io.Writer, columns, rows int) *reporter {
	return newLiveReporter(w, func() (int, int) { return columns, rows })
}
