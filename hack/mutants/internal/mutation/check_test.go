// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package mutation_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/talos-rebound/rebound/hack/mutants/internal/mutation"
)

func TestATable(t *testing.T) {
	t.Parallel()

	with := func(change func(*mutation.Row)) []mutation.Row {
		row := door("inside < 4", "TestADoor/is closed for four")
		change(&row)

		return []mutation.Row{row}
	}

	for name, tc := range map[string]struct {
		rows []mutation.Row
		want string
	}{
		"that fits": {with(func(*mutation.Row) {}), ""},
		"with a text that is gone": {
			with(func(r *mutation.Row) { r.Old = "inside < 5" }),
			`row "door": the text to change occurs 0 times in door/door.go, and not once`,
		},
		"with a text that is there twice": {
			with(func(r *mutation.Row) { r.Old = "func " }),
			`row "door": the text to change occurs 2 times in door/door.go, and not once`,
		},
		"with a text that stays the same": {with(func(r *mutation.Row) { r.New = r.Old }), `row "door": it changes nothing`},
		"without a text":                  {with(func(r *mutation.Row) { r.Old = "" }), `row "door": it changes nothing`},
		"that makes no Go": {
			with(func(r *mutation.Row) { r.New = "inside <" }),
			`row "door": after the change it is no Go: door/door.go:`,
		},
		"with a file that is gone": {with(func(r *mutation.Row) { r.File, r.Folder = "gate/gate.go", "door" }), `row "door": open `},
		"with a test that is gone": {
			with(func(r *mutation.Row) { r.Test = "TestAGate" }),
			`row "door": no test in door is called "TestAGate"`,
		},
		"with a subtest that is gone": {
			with(func(r *mutation.Row) { r.Test = "TestADoor/is closed for five" }),
			`row "door": no test in door is called "is closed for five"`,
		},
		"with a test that is another package's": {
			with(func(r *mutation.Row) { r.Folder = "inner/wall" }),
			`row "door": no test in inner/wall is called "TestADoor"`,
		},
		"with two rows of one name": {
			append(with(func(*mutation.Row) {}), with(func(*mutation.Row) {})...),
			`row "door": there is another row of this name`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			err := mutation.Check(tiny(t), tc.rows)

			if tc.want == "" {
				require.NoError(t, err)

				return
			}

			require.ErrorContains(t, err, tc.want)

			_, runErr := runner(tiny(t)).Run(t.Context(), tc.rows)
			assert.ErrorContains(t, runErr, tc.want, "nothing is run with it")
		})
	}
}
