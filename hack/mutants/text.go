// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import "strings"

// indented returns a text with a mark before each of its lines.
func indented(mark, text string) string {
	var b strings.Builder

	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		b.WriteString("    " + mark + line + "\n")
	}

	return b.String()
}
