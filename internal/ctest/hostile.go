// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package ctest

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

// Password is one that is in a URL of what Hostile says.
const Password = "canary-of-a-password"

// Hostile is what somebody may say who is up to no good: a mebibyte with escapes of a terminal, in seven and in eight bits, with
// marks that turn the direction of text, with lines, and with what is no UTF-8. It begins with a URL with a password.
func Hostile() string {
	return "https://user:" + Password + "@proxy.example.org " +
		strings.Repeat("\x1b[2J\x1b]0;title\x07\u009b31m\u202etxt.exe\u2066\u200b\r\n\x00\x7f\xff\xfe", 1<<20/40)
}

// AssertPrintable asserts that a text, which may have several lines and columns, cannot steer a terminal, has no more than limit
// bytes, and has no password in it.
func AssertPrintable(tb testing.TB, text string, limit int) {
	tb.Helper()

	assert.LessOrEqual(tb, len(text), limit)
	assert.True(tb, utf8.ValidString(text), "it is UTF-8")
	assert.NotContains(tb, text, Password)

	if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }); i >= 0 {
		assert.Fail(tb, "it can steer a terminal", "%q", text[max(0, i-50):min(len(text), i+50)])
	}
}
