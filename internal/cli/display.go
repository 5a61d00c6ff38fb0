// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package cli

import "golang.org/x/text/width"

// displayWidth is how many columns of a terminal a text takes, on one row.
func displayWidth(text string) int {
	columns := 0

	for _, r := range text {
		columns += runeWidth(r)
	}

	return columns
}

func runeWidth(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	default:
		return 1
	}
}

// fit cuts a text that takes more than this many columns.
func fit(text string, columns int) string {
	if displayWidth(text) <= columns {
		return text
	}

	taken := 1 // the ellipsis

	for i, r := range text {
		if taken += runeWidth(r); taken > columns {
			return text[:i] + "…"
		}
	}

	return text
}
