// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package specs_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/pkg/resources/recovery/specs"
)

func TestWhatIsPrintedCannotSteerATerminal(t *testing.T) {
	t.Parallel()

	for text, want := range map[string]string{
		"":                              "",
		"plain, ä and 世":                "plain, ä and 世",
		"\x1b[31mred\x1b[0m":            " [31mred [0m",
		"\u009b31m, which is the same":  " 31m, which is the same",
		"gpj.\u202eexe":                 "gpj. exe",
		"\u2066isolated\u2069":          " isolated ",
		"two\r\nlines\tand a column":    "two  lines and a column",
		"\xff\xfeno UTF-8":              "no UTF-8",
		"zero\u200bwidth\ufeff":         "zero width ",
		"https://a:b@c/d and e@f":       "https://c/d and e@f",
		`Get "http://a:b@c": EOF`:       `Get "http://c": EOF`,
		"socks5://a:b@c@d https://e/@f": "socks5://d https://e/@f",
		strings.Repeat("世", 100):        strings.Repeat("世", 20) + "…",

		strings.Repeat("\xff", 236) + "at https://a:" + strings.Repeat("b", 100) + "@c": "at https…",
	} {
		assert.Equal(t, want, specs.Printable(text, 64), "%q", text)
	}
}

func TestAStatusFromElsewhereIsPrintable(t *testing.T) {
	t.Parallel()

	hostile := strings.Repeat("\x1b[2J\u202e\n\xff", 1<<17)
	status := specs.RecoveryStatus{BootID: hostile, NodeName: hostile, Message: hostile, KubeletStart: hostile, Obstacle: hostile}.Printable()

	for text, limit := range map[string]int{
		status.BootID: 64, status.NodeName: 256, status.Message: 4096, status.KubeletStart: 256, status.Obstacle: 256,
	} {
		assert.Len(t, text, limit)
		assert.Equal(t, -1, strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }))
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("\x1b[31mred https://a:b@c", 10)
	f.Add(":\xff//a@b", 100)
	f.Add(strings.Repeat("\u202e世", 100), 3)

	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = min(max(limit, 3), 1<<20)
		printed := specs.Printable(text, limit)

		assert.LessOrEqual(t, len(printed), limit)
		assert.True(t, utf8.ValidString(printed))
		assert.Equal(t, -1, strings.IndexFunc(printed, func(r rune) bool { return !unicode.IsPrint(r) }))
		assert.Equal(t, printed, specs.Printable(printed, limit), "it stays as it is")
	})
}
