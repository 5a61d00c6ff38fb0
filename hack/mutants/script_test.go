// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/script.
func TestScripts(t *testing.T) {
	t.Parallel()

	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}

	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"), RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TOP", top)

			return nil
		},
	})
}

// TestMain puts this binary into PATH as mutants.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mutants": main})
}
