// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package faults_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/talos-rebound/rebound/hack/lab/internal/faults"
)

func TestEveryRowSaysWhatItIsAbout(t *testing.T) {
	t.Parallel()

	names := map[string]bool{}

	for _, row := range faults.Rows() {
		assert.False(t, names[row.Name], "two rows are called %q", row.Name)
		names[row.Name] = true

		for what, text := range map[string]string{"name": row.Name, "fault": row.Fault, "when": row.When, "lasts": row.Lasts, "end": row.End} {
			assert.NotEmpty(t, text, "row %q: %s", row.Name, what)
			assert.Equal(t, strings.TrimSpace(text), text, "row %q: %s", row.Name, what)
		}

		assert.Contains(t, []faults.Half{faults.Recovery, faults.Reboots}, row.Half, row.Name)
		assert.Positive(t, row.Requests, "row %q has no bound on requests", row.Name)
		assert.NotNil(t, row.Play, row.Name)
		assert.Equal(t, row.Phase == "", row.Message == "", "row %q: a phase and its message go together", row.Name)

		if row.Place != faults.Alone {
			assert.Empty(t, row.Options, "row %q has options for a lab that is not its own", row.Name)
		}
	}
}

func TestRowsAreChosenByTheirNames(t *testing.T) {
	t.Parallel()

	rows := []faults.Row{{Name: "one", Quick: true}, {Name: "two"}}

	for _, test := range []struct {
		options faults.Options
		want    []string
	}{
		{faults.Options{}, []string{"one", "two"}},
		{faults.Options{Only: "^t"}, []string{"two"}},
		{faults.Options{Quick: true}, []string{"one"}},
	} {
		chosen, err := test.options.Choose(append([]faults.Row{}, rows...))
		assert.NoError(t, err)

		names := []string{}
		for _, row := range chosen {
			names = append(names, row.Name)
		}

		assert.Equal(t, test.want, names)
	}

	for _, only := range []string{"three", "("} {
		_, err := (&faults.Options{Only: only}).Choose(append([]faults.Row{}, rows...))
		assert.ErrorContains(t, err, only[:1])
	}
}
