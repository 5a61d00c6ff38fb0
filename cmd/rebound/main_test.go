// This Source Code Form is subject to the terms of the Mozilla Public
// License, v. 2.0. If a copy of the MPL was not distributed with this
// file, You can obtain one at http://mozilla.org/MPL/2.0/.

package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain puts this binary into PATH as rebound, for the scripts and for the tests that start it themselves.
func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"rebound": main}) }
